// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cerrno>
#include <string>
#include <system_error>
#include <tl/expected.hpp>
#include <utility>

namespace nfbpf {

// What went wrong, for a person: `what` names the object, the value, the limit and the next step.
struct Error {
  int code = 0;  // errno of the refusing call, 0 where no call refused
  std::string what;
};

template <typename T>
using Result = tl::expected<T, Error>;

// An error of our own finding: no errno behind it.
[[nodiscard]] inline tl::unexpected<Error> fail(std::string what) {
  return tl::unexpected<Error>(Error{0, std::move(what)});
}

// An error of a call: "`what`: strerror(code)". `code` may be errno or a kernel-style negative.
[[nodiscard]] inline tl::unexpected<Error> fail_errno(int code, const std::string& what) {
  const int positive = code < 0 ? -code : code;
  return tl::unexpected<Error>(
      Error{positive, what + ": " + std::generic_category().message(positive)});
}

}  // namespace nfbpf
