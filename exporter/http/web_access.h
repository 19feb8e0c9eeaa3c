// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "http/basic_auth.h"
#include "http/tls.h"
#include "http/web_config.h"

namespace nfbpf::http {

// What --web.config.file asks of clients, read again when it or a file that it names has changed,
// without a restart and without a connection that fails: until the new files fit together, as they
// do not while one of certificate and key is replaced, what was read before applies.
class WebAccess {
 public:
  struct Now {
    WebConfig config;
    std::shared_ptr<const TlsIdentity> identity;  // null: no TLS
    std::chrono::system_clock::time_point read_at{};
  };
  using Load = std::function<Result<WebConfig>()>;

  // `load` reads `file`; called again later, by any thread, one at a time.
  static Result<std::unique_ptr<WebAccess>> open(std::filesystem::path file, Load load);

  // As of now; looks at the files, though not more often than some times a second.
  [[nodiscard]] std::shared_ptr<const Now> now();

  [[nodiscard]] BasicAuth& auth() { return auth_; }
  [[nodiscard]] TlsFront& front() { return front_; }

  // Whether what the files say applies, as far as was looked; now() looks.
  [[nodiscard]] bool applies() const { return applies_; }

 private:
  struct Stamp {
    ino_t inode = 0;
    timespec changed{};
    off_t size = -1;
    bool operator==(const Stamp& other) const {
      return inode == other.inode && size == other.size && changed.tv_sec == other.changed.tv_sec &&
             changed.tv_nsec == other.changed.tv_nsec;
    }
  };
  using Stamps = std::map<std::filesystem::path, Stamp>;

  WebAccess(std::filesystem::path file, Load load);
  [[nodiscard]] Result<Now> read() const;
  [[nodiscard]] Stamps stamps(const WebConfig& config) const;
  [[nodiscard]] Result<void> check_change(const Now& next) const;
  void look_again();

  std::filesystem::path file_;
  Load load_;
  BasicAuth auth_;
  TlsFront front_;
  std::mutex mutex_;
  std::shared_ptr<const Now> now_;
  std::atomic<bool> applies_ = true;
  Stamps stamps_;
  std::chrono::steady_clock::time_point looked_{};
  std::string logged_;  // the error that was logged last
};

}  // namespace nfbpf::http
