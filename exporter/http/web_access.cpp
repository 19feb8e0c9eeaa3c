// SPDX-License-Identifier: Apache-2.0
#include "http/web_access.h"

#include <spdlog/spdlog.h>

#include <array>
#include <ctime>
#include <utility>

namespace nfbpf::http {
namespace {

constexpr std::chrono::milliseconds kBetweenLooks{200};

std::string date_of(std::time_t at) {
  tm parts{};
  std::array<char, 32> text{};
  ::gmtime_r(&at, &parts);
  const std::size_t size = std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S UTC", &parts);
  return {text.data(), size};
}

void log_identity(const WebConfig& config, const TlsIdentity& identity) {
  const std::string file = config.tls->cert_file.string();
  if (identity.expires() < std::time(nullptr))
    spdlog::warn("{}: the certificate has expired on {}; clients will refuse it", file,
                 date_of(identity.expires()));
  else
    spdlog::info("{}: the certificate is valid until {}", file, date_of(identity.expires()));
}

}  // namespace

WebAccess::WebAccess(std::filesystem::path file, Load load)
    : file_(std::move(file)),
      load_(std::move(load)),
      front_([this]() -> std::shared_ptr<const TlsIdentity> { return now()->identity; }) {}

Result<std::unique_ptr<WebAccess>> WebAccess::open(std::filesystem::path file, Load load) {
  std::unique_ptr<WebAccess> access(new WebAccess(std::move(file), std::move(load)));
  auto now = access->read();
  if (!now) return tl::unexpected(now.error());
  if (now->identity) log_identity(now->config, *now->identity);
  access->stamps_ = access->stamps(now->config);
  access->now_ = std::make_shared<const Now>(std::move(*now));
  return access;
}

Result<WebAccess::Now> WebAccess::read() const {
  auto config = load_();
  if (!config) return tl::unexpected(config.error());
  Now now{std::move(*config), nullptr, std::chrono::system_clock::now()};
  if (!now.config.tls) return now;
  auto identity = TlsIdentity::load(*now.config.tls);
  if (!identity) return tl::unexpected(identity.error());
  now.identity = std::move(*identity);
  return now;
}

WebAccess::Stamps WebAccess::stamps(const WebConfig& config) const {
  Stamps stamps;
  const auto add = [&](const std::filesystem::path& path) {
    struct stat status {};
    if (path.empty()) return;
    stamps[path] = ::stat(path.c_str(), &status) == 0
                       ? Stamp{status.st_ino, status.st_mtim, status.st_size}
                       : Stamp{};
  };
  add(file_);
  if (config.tls) {
    add(config.tls->cert_file);
    add(config.tls->key_file);
    add(config.tls->client_ca_file);
  }
  return stamps;
}

// A file that is rewritten in place is empty for a while: that must let nobody in.
Result<void> WebAccess::check_change(const Now& next) const {
  if ((next.identity == nullptr) != (now_->identity == nullptr))
    return fail(file_.string() + ": TLS comes and goes with a restart alone");
  if (next.config.users.empty() && !now_->config.users.empty())
    return fail(file_.string() +
                ": basic_auth_users is gone, which lets in anybody with a restart alone");
  return {};
}

// What cannot be read now is tried again at the next look, changed or not: the files may have been
// caught half written.
void WebAccess::look_again() {
  const Stamps found = stamps(now_->config);
  if (applies_ && found == stamps_) return;
  auto read_now = read();
  if (read_now)
    if (auto ok = check_change(*read_now); !ok) read_now = tl::unexpected(ok.error());
  applies_ = read_now.has_value();
  if (!read_now) {
    if (read_now.error().what != logged_)
      spdlog::error("{}; what was read before applies", read_now.error().what);
    logged_ = read_now.error().what;
    return;
  }
  logged_.clear();
  // As of before they were read: a change in between is met at the next look.
  stamps_ = found;
  for (const auto& [path, stamp] : stamps(read_now->config)) stamps_.try_emplace(path, stamp);
  if (read_now->identity) log_identity(read_now->config, *read_now->identity);
  spdlog::info("{}: read again", file_.string());
  now_ = std::make_shared<const Now>(std::move(*read_now));
}

std::shared_ptr<const WebAccess::Now> WebAccess::now() {
  const std::lock_guard lock(mutex_);
  const auto at = std::chrono::steady_clock::now();
  if (at - looked_ >= kBetweenLooks) {
    looked_ = at;
    look_again();
  }
  return now_;
}

}  // namespace nfbpf::http
