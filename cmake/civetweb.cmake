# civetweb as a static library, from Debian's source package with our own switches. Linked by http/ alone.
#
# NFBPF_CIVETWEB_SOURCE: an unpacked civetweb tree to use instead of fetching, for builds without network.
set(NFBPF_CIVETWEB_VERSION 1.15+dfsg-4)
set(NFBPF_CIVETWEB_DSC_SHA256 141ee6bf528e8f33e8a32b5607917609774e80cf842240cffd50e0399755baaf)
set(NFBPF_CIVETWEB_ORIG_SHA256 ec372e9737bc820118bbb735f46a07d41f795814ca0f38bc6e67048e7a460f33)
set(NFBPF_CIVETWEB_SOURCE "" CACHE PATH "Unpacked civetweb source; empty: fetch Debian's source package")

set(civetweb_source ${NFBPF_CIVETWEB_SOURCE})
if(NOT civetweb_source)
  execute_process(
    COMMAND ${CMAKE_CURRENT_LIST_DIR}/civetweb-fetch.sh
            ${NFBPF_CIVETWEB_VERSION} ${NFBPF_CIVETWEB_DSC_SHA256} ${NFBPF_CIVETWEB_ORIG_SHA256}
    OUTPUT_VARIABLE civetweb_source OUTPUT_STRIP_TRAILING_WHITESPACE
    RESULT_VARIABLE civetweb_failed)
  if(civetweb_failed)
    message(FATAL_ERROR "civetweb's source could not be fetched (see above); "
                        "NFBPF_CIVETWEB_SOURCE=<unpacked tree> builds without network")
  endif()
endif()
if(NOT EXISTS ${civetweb_source}/src/civetweb.c)
  message(FATAL_ERROR "${civetweb_source} has no src/civetweb.c; is it an unpacked civetweb tree?")
endif()

find_package(OpenSSL 3.0 REQUIRED)
find_package(Threads REQUIRED)
add_library(nfbpf_civetweb STATIC ${civetweb_source}/src/civetweb.c)
target_include_directories(nfbpf_civetweb SYSTEM PUBLIC ${civetweb_source}/include)
# NO_FILES and NO_CGI: there is no document root and never will be. NO_SSL_DL: link OpenSSL, do not
# search for symbols at run time. SOCKET_TIMEOUT_QUANTUM (ms): how long a wait may miss that it is time to stop
# or that a time-out has come; 2000 unless told. accept: exporter/http/accept.cpp.
target_compile_definitions(nfbpf_civetweb
  PUBLIC USE_IPV6 NO_CGI NO_FILES
  PRIVATE OPENSSL_API_3_0 NO_SSL_DL SOCKET_TIMEOUT_QUANTUM=200 accept=nfbpf_civetweb_accept)
target_compile_options(nfbpf_civetweb PRIVATE -w)
target_link_libraries(nfbpf_civetweb PUBLIC OpenSSL::SSL OpenSSL::Crypto Threads::Threads)
