// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "base/result.h"

struct ssl_ctx_st;

namespace nfbpf {

// Whom to ask and how; what is empty is not needed.
struct TopServer {
  std::string url = "http://localhost:9987";  // http or https
  std::string ca_file;              // who may sign its certificate; else whom the system trusts
  std::string cert_file, key_file;  // of ours, where it asks for one
  std::string user, password_file;  // the password is the file's first line
};

// Asks an exporter, with one connection for each question.
class TopClient {
 public:
  // Reads the files.
  static Result<TopClient> open(const TopServer& server);

  // The body of a 200; anything else is an error with what the server says. `path` with its query.
  [[nodiscard]] Result<std::string> get(const std::string& path) const;

 private:
  TopClient() = default;
  [[nodiscard]] Result<void> read_tls_files(const TopServer& server);

  std::string url_, host_, port_, authorization_;
  std::shared_ptr<ssl_ctx_st> tls_;  // null: http
};

}  // namespace nfbpf
