// SPDX-License-Identifier: Apache-2.0
#include "http/server.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <zlib.h>

#include <chrono>
#include <cstring>
#include <new>

#include "base/unique_fd.h"
#include "http/probe.h"

namespace nfbpf::http {
namespace {

constexpr ListenAddress::Family kIpv4 = ListenAddress::Family::kIpv4;
const std::string kBig(3 * 1000 * 1000, 'x');

std::vector<Route> routes() {
  const auto metrics = [](const Request& request) {
    auto response = Response::text(200, "accept=" + request.accept + "\n");
    response.content_type = "text/plain; version=0.0.4";
    return response;
  };
  return {{"/metrics", metrics},
          {"/", [](const Request&) { return Response::text(200, "landing"); }},
          {"/big", [](const Request&) { return Response::text(200, kBig); }},
          {"/throws",
           [](const Request&) {
             return Response{200, "text/plain", [](exposition::Sink& sink) {
                               (void)sink.write("half");
                               throw std::bad_alloc();
                             }};
           }},
          {"/page",
           [](const Request&) {
             auto response = Response::text(200, kBig + std::to_string(kBig.size()));
             response.negotiated = true;
             return response;
           }},
          {"/unready", [](const Request&) { return Response::text(503, "no\n"); }}};
}

UniqueFd connect_to(std::uint16_t port) {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const timeval limit{10, 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  EXPECT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof(to)), 0);
  return fd;
}

std::string read_all(const UniqueFd& fd) {
  std::string answer;
  char buffer[65536];
  for (ssize_t n = 0; (n = ::recv(fd.get(), buffer, sizeof(buffer), 0)) > 0;)
    answer.append(buffer, static_cast<std::size_t>(n));
  return answer;
}

class ServerTest : public testing::Test {
 protected:
  void start(unsigned threads = 4, unsigned timeout_ms = 2000) {
    auto started = Server::start({{{kIpv4, "127.0.0.1", 0}}, threads, timeout_ms}, routes());
    ASSERT_TRUE(started) << started.error().what;
    server_ = std::move(*started);
    port_ = server_->addresses()[0].port;
  }
  std::string ask(const std::string& request) {
    const UniqueFd fd = connect_to(port_);
    ::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL);
    return read_all(fd);
  }
  std::string ask_line(const std::string& line) { return ask(line + "\r\nHost: x\r\n\r\n"); }

  std::unique_ptr<Server> server_;
  std::uint16_t port_ = 0;
};

TEST_F(ServerTest, AnswersGetInChunks) {
  start();
  EXPECT_EQ(ask("GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: text/plain\r\n\r\n"),
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n"
            "X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\nConnection: close\r\n"
            "Transfer-Encoding: chunked\r\n\r\n"
            "12\r\naccept=text/plain\n\r\n0\r\n\r\n");
}

std::string unchunked(std::string_view answer) {
  std::string body;
  for (auto at = answer.find("\r\n\r\n") + 4;;) {
    const auto length = std::stoul(std::string(answer.substr(at)), nullptr, 16);
    if (length == 0) return body;
    at = answer.find("\r\n", at) + 2;
    body += answer.substr(at, length);
    at += length + 2;
  }
}

std::string gunzip(const std::string& text) {
  z_stream stream{};
  inflateInit2(&stream, 15 + 16);
  std::string plain(kBig.size() + 100, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(plain.data());
  stream.avail_out = static_cast<uInt>(plain.size());
  EXPECT_EQ(inflate(&stream, Z_FINISH), Z_STREAM_END);
  plain.resize(plain.size() - stream.avail_out);
  inflateEnd(&stream);
  return plain;
}

TEST_F(ServerTest, CompressesWhatIsNegotiatedForThoseWhoTakeIt) {
  start();
  const std::string plain = ask("GET /page HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_NE(plain.find("Vary: Accept, Accept-Encoding\r\n"), std::string::npos);
  EXPECT_EQ(plain.find("Content-Encoding"), std::string::npos);
  const std::string packed = ask("GET /page HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n");
  EXPECT_NE(packed.find("Content-Encoding: gzip\r\n"), std::string::npos);
  EXPECT_LT(packed.size(), plain.size() / 50);
  EXPECT_EQ(gunzip(unchunked(packed)), unchunked(plain));
  const std::string head = ask("HEAD /page HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n");
  EXPECT_EQ(head, packed.substr(0, packed.find("\r\n\r\n") + 4));
  const std::string other = ask("GET /big HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n");
  EXPECT_EQ(other.find("Content-Encoding"), std::string::npos);
}

TEST_F(ServerTest, AnswersHttp10WithoutChunks) {
  start();
  EXPECT_EQ(ask_line("GET / HTTP/1.0"),
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: "
            "nosniff\r\n"
            "Cache-Control: no-store\r\nConnection: close\r\n\r\nlanding");
}

TEST_F(ServerTest, AnswersHeadWithTheSameHeadAndNoBody) {
  start();
  const std::string head = ask_line("HEAD /metrics HTTP/1.1");
  const std::string get = ask_line("GET /metrics HTTP/1.1");
  EXPECT_EQ(head, get.substr(0, get.find("\r\n\r\n") + 4));
}

TEST_F(ServerTest, HasARightCodeForEveryMethodAndPath) {
  struct Case {
    const char* line;
    const char* status;
  };
  const Case cases[] = {
      {"GET /metrics HTTP/1.1", "200"},          {"GET /metrics?x=1 HTTP/1.1", "200"},
      {"GET /%6detrics HTTP/1.1", "200"},        {"GET /a/../metrics HTTP/1.1", "200"},
      {"GET /metrics/ HTTP/1.1", "404"},         {"GET /nothing HTTP/1.1", "404"},
      {"GET /../../etc/passwd HTTP/1.1", "404"}, {"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1", "404"},
      {"GET /unready HTTP/1.1", "503"},          {"POST /nothing HTTP/1.1", "404"},
      {"POST /metrics HTTP/1.1", "405"},         {"PUT / HTTP/1.1", "405"},
      {"DELETE /metrics HTTP/1.1", "405"},       {"OPTIONS /metrics HTTP/1.1", "405"},
      {"PATCH /metrics HTTP/1.1", "405"},        {"PROPFIND /metrics HTTP/1.1", "405"},
      {"BREW /metrics HTTP/1.1", "4"},           {"GET", "4"},
  };
  start();
  for (const Case& c : cases) {
    const std::string answer = ask_line(c.line);
    EXPECT_EQ(answer.substr(9, std::strlen(c.status)), c.status) << c.line << "\n"
                                                                 << answer.substr(0, 200);
    if (answer.substr(9, 3) == "405") {
      EXPECT_NE(answer.find("\r\nAllow: GET, HEAD\r\n"), std::string::npos) << c.line;
    }
  }
}

TEST_F(ServerTest, RefusesAHugeHead) {
  start();
  const std::string answer =
      ask("GET /metrics HTTP/1.1\r\nX: " + std::string(1 << 20, 'x') + "\r\n\r\n");
  EXPECT_EQ(answer.find("HTTP/1.1 200"), std::string::npos);
  EXPECT_NE(ask_line("GET / HTTP/1.1").find("landing"), std::string::npos) << "and goes on";
}

TEST_F(ServerTest, SendsALargePageWhole) {
  start();
  const std::string answer = ask_line("GET /big HTTP/1.0");
  EXPECT_EQ(answer.substr(answer.find("\r\n\r\n") + 4), kBig);
}

TEST_F(ServerTest, BreaksOffVisiblyWhenAnAnswerThrows) {
  start();
  const std::string answer = ask_line("GET /throws HTTP/1.1");
  EXPECT_TRUE(answer.ends_with("\r\n4\r\nhalf\r\n")) << answer;
  EXPECT_NE(ask_line("GET / HTTP/1.1").find("landing"), std::string::npos) << "and goes on";
}

TEST_F(ServerTest, CutsClientsThatNeverFinishTheirRequest) {
  start(2, 300);
  const UniqueFd first = connect_to(port_);
  const UniqueFd second = connect_to(port_);
  for (const auto* fd : {&first, &second}) ::send(fd->get(), "GET / HT", 8, MSG_NOSIGNAL);
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_NE(ask_line("GET / HTTP/1.1").find("landing"), std::string::npos);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
}

TEST_F(ServerTest, ServesTheRestWhileAClientDoesNotRead) {
  start();
  const UniqueFd idle = connect_to(port_);
  const std::string request = "GET /big HTTP/1.1\r\nHost: x\r\n\r\n";
  ::send(idle.get(), request.data(), request.size(), MSG_NOSIGNAL);
  for (int i = 0; i < 5; ++i)
    EXPECT_NE(ask_line("GET / HTTP/1.1").find("landing"), std::string::npos);
}

TEST_F(ServerTest, NamesThePortThatIsTaken) {
  start();
  const auto second =
      Server::start({{{kIpv4, "127.0.0.1", 0}, {kIpv4, "127.0.0.1", port_}}, 2, 1000}, routes());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().what, "cannot listen on 127.0.0.1:" + std::to_string(port_) +
                                     ": Address already in use; choose another with "
                                     "--web.listen-address or stop what listens there");
}

TEST(Server, NamesAnAddressThatIsNotOfThisMachine) {
  const auto server = Server::start({{{kIpv4, "192.0.2.77", 0}}, 2, 1000}, routes());
  ASSERT_FALSE(server);
  EXPECT_EQ(server.error().what,
            "cannot listen on 192.0.2.77:0: Cannot assign requested address; no interface of this "
            "machine "
            "has 192.0.2.77");
}

TEST(Server, ListensOnSeveralAddressesAndOnBothFamilies) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 here";
  const auto server = Server::start(
      {{{ListenAddress::Family::kAny, "", 0}, {ListenAddress::Family::kIpv6, "::1", 0}}, 2, 1000},
      routes());
  ASSERT_TRUE(server) << server.error().what;
  const auto& addresses = (*server)->addresses();
  ASSERT_EQ(addresses.size(), 2U);
  EXPECT_NE(addresses[0].port, addresses[1].port);
  const UniqueFd v4 = connect_to(addresses[0].port);
  ::send(v4.get(), "GET / HTTP/1.0\r\n\r\n", 18, MSG_NOSIGNAL);
  EXPECT_NE(read_all(v4).find("landing"), std::string::npos);
}

TEST_F(ServerTest, PostRoutesTakePostAlone) {
  auto with_post = routes();
  with_post.push_back(
      {"/-/reload", [](const Request&) { return Response::text(200, "done\n"); }, true});
  auto started = Server::start({{{kIpv4, "127.0.0.1", 0}}, 4, 2000}, std::move(with_post));
  ASSERT_TRUE(started);
  server_ = std::move(*started);
  port_ = server_->addresses()[0].port;
  const auto posted = ask("POST /-/reload HTTP/1.0\r\nContent-Length: 0\r\n\r\n");
  EXPECT_NE(posted.find("done\n"), std::string::npos) << posted;
  const auto got = ask_line("GET /-/reload HTTP/1.0");
  EXPECT_TRUE(got.starts_with("HTTP/1.1 405")) << got;
  EXPECT_NE(got.find("\r\nAllow: POST\r\n"), std::string::npos) << got;
}

TEST_F(ServerTest, WhoNeverReadsHoldsNoPlaceAndIsCut) {
  auto started = Server::start({.addresses = {{kIpv4, "127.0.0.1", 0}},
                                .threads = 16,
                                .timeout_ms = 1000,
                                .max_requests = 2},
                               routes());
  ASSERT_TRUE(started);
  server_ = std::move(*started);
  port_ = server_->addresses()[0].port;
  std::vector<UniqueFd> bad;
  for (int i = 0; i < 8; ++i) {
    bad.push_back(connect_to(port_));
    const std::string request = "GET /big HTTP/1.1\r\nHost: x\r\n\r\n";
    ::send(bad.back().get(), request.data(), request.size(), MSG_NOSIGNAL);
  }
  for (int i = 0; i < 5; ++i) {
    const auto answer = ask_line("GET / HTTP/1.0");
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 200")) << answer;
  }
}

}  // namespace
}  // namespace nfbpf::http
