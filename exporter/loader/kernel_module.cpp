// SPDX-License-Identifier: Apache-2.0
#include "loader/kernel_module.h"

#include <fcntl.h>
#include <libkmod.h>
#include <linux/capability.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <string_view>

#include "abi/nfbpf.h"

namespace nfbpf::loader {
namespace fs = std::filesystem;
namespace {

struct CtxUnref {
  void operator()(kmod_ctx* ctx) const { kmod_unref(ctx); }
};
struct ModuleUnref {
  void operator()(kmod_module* module) const { kmod_module_unref(module); }
};
struct ListUnref {
  void operator()(kmod_list* list) const { kmod_module_unref_list(list); }
};
struct InfoFree {
  void operator()(kmod_list* list) const { kmod_module_info_free_list(list); }
};
using Ctx = std::unique_ptr<kmod_ctx, CtxUnref>;
using Module = std::unique_ptr<kmod_module, ModuleUnref>;
using ModuleList = std::unique_ptr<kmod_list, ListUnref>;
using ModuleInfo = std::unique_ptr<kmod_list, InfoFree>;

std::string first_line(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::string kernel_release() {
  utsname name{};
  ::uname(&name);
  return name.release;
}

// The word in brackets: none, integrity or confidentiality; empty if securityfs is not mounted.
std::string lockdown_mode() {
  const std::string modes = first_line("/sys/kernel/security/lockdown");
  const std::size_t begin = modes.find('[');
  if (begin == std::string::npos) return {};
  return modes.substr(begin + 1, modes.find(']') - begin - 1);
}

Result<Module> find_module(kmod_ctx* ctx, const ModuleOptions& options) {
  kmod_module* module = nullptr;
  if (options.file) {
    if (!fs::exists(*options.file)) {
      return fail("module file " + options.file->string() +
                  " does not exist: build it (make -C kmod)");
    }
    if (const int err = kmod_module_new_from_path(ctx, options.file->c_str(), &module); err != 0) {
      return fail_errno(err, "open module " + options.file->string());
    }
    return Module(module);
  }
  kmod_list* found = nullptr;
  kmod_module_new_from_lookup(ctx, kModuleName, &found);
  const ModuleList list(found);
  if (!list) {
    const std::string mode = lockdown_mode();
    const std::string locked =
        mode.empty() || mode == "none"
            ? ""
            : "the kernel is locked down (" + mode + "), takes signed modules only, and ";
    return fail(locked + "module nfbpf is not installed for kernel " + kernel_release() +
                ": build kmod/ and give --module FILE, or install it with DKMS");
  }
  return Module(kmod_module_get_module(list.get()));
}

// One word of what modinfo shows; empty where the file does not have it.
std::string info_of(kmod_module* module, std::string_view name) {
  kmod_list* found = nullptr;
  kmod_module_get_info(module, &found);
  const ModuleInfo info(found);
  kmod_list* entry = nullptr;
  kmod_list_foreach(entry, info.get()) {
    if (name == kmod_module_info_get_key(entry)) return kmod_module_info_get_value(entry);
  }
  return {};
}

// One errno for a module without a signature and one with a key that the kernel does not know: the
// file tells them apart. Where signatures are a must, a file that was changed has that errno, too.
std::string what_of_signature(int err, kmod_module* module) {
  if (info_of(module, "sig_id").empty()) {
    return "it is not signed: sign it with a key that this kernel trusts (docs/operations.md, "
           "Signing)";
  }
  return "it is signed by \"" + info_of(module, "signer") +
         "\", whose key this kernel does not trust" +
         (err == EPERM ? "" : ", or it was changed after that") +
         ": enrol the certificate (mokutil --import) and reboot" +
         (err == EPERM ? "" : ", or sign it again");
}

bool may_load_modules() {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {};
  if (::syscall(SYS_capget, &header, sets) != 0) return false;
  return (sets[CAP_TO_INDEX(CAP_SYS_MODULE)].effective & CAP_TO_MASK(CAP_SYS_MODULE)) != 0;
}

// The kernel says EPERM for several causes; what it shows elsewhere tells them apart.
std::string why_not_permitted(kmod_module* module) {
  if (first_line("/proc/sys/kernel/modules_disabled") == "1") {
    return "modules are disabled until the next boot (kernel.modules_disabled=1)";
  }
  if (!may_load_modules()) return "not permitted: run as root with CAP_SYS_MODULE";
  const std::string mode = lockdown_mode();
  if (mode == "none") return "a security module forbids it; the kernel log may name it";
  return (mode.empty() ? "the kernel seems locked down (/sys/kernel/security is not mounted)"
                       : "the kernel is locked down (" + mode + ")") +
         " and " + what_of_signature(EPERM, module);
}

std::string why_refused(int err, kmod_module* module, const ModuleOptions& options) {
  switch (err) {
    case ENOSYS:
      return "this kernel has no loadable modules";
    case EPERM:
      return why_not_permitted(module);
    case EKEYREJECTED:
    case EBADMSG:
      return "this kernel wants signed modules, and " + what_of_signature(err, module);
    case ENOEXEC:
      return "it was built for another kernel than " + kernel_release();
    case EINVAL:
    case ENOENT:
    case EACCES:
      return "a parameter was refused (bpf_path=" + options.bpf_path.string() +
             "); the kernel log names it";
    default:
      return std::generic_category().message(err);
  }
}

}  // namespace

bool module_is_loaded() {
  return fs::exists(fs::path("/sys/module") / kModuleName / "refcnt");
}

Result<std::string> read_module_file(const std::string& relative) {
  const fs::path path = fs::path("/sys/module") / kModuleName / relative;
  std::ifstream file(path);
  std::string line;
  if (!std::getline(file, line)) return fail("cannot read " + path.string());
  return line;
}

Result<void> check_module_abi() {
  const auto version = read_module_file("version");
  if (version && std::atoi(version->c_str()) == NFBPF_ABI_MAJOR) return {};
  return fail("module nfbpf speaks ABI " + (version ? *version : std::string("unknown")) +
              ", nfbpf-load speaks " + std::to_string(NFBPF_ABI_MAJOR) +
              ": detach, install both from one release, attach");
}

Result<void> insert_module(const ModuleOptions& options) {
  if (!fs::exists("/proc/modules")) return fail("this kernel has no loadable modules");
  const Ctx ctx(kmod_new(nullptr, nullptr));
  if (!ctx) return fail_errno(errno, "start libkmod");
  auto module = find_module(ctx.get(), options);
  if (!module) return tl::unexpected(module.error());
  const std::string parameters = "bpf_path=\"" + options.bpf_path.string() + "\"" +
                                 " hooks=" + options.hooks + " families=" + options.families +
                                 " priority=" + options.priority + " log=" + options.log +
                                 " netns=" + options.netns;
  if (const int err = kmod_module_insert_module(module->get(), 0, parameters.c_str()); err != 0) {
    return tl::unexpected(
        Error{-err, "module nfbpf was refused: " + why_refused(-err, module->get(), options)});
  }
  if (auto ok = check_module_abi(); !ok) {
    const auto removed = remove_module();
    return fail(ok.error().what + (removed ? "" : "; " + removed.error().what));
  }
  return {};
}

Result<void> remove_module() {
  const Ctx ctx(kmod_new(nullptr, nullptr));
  if (!ctx) return fail_errno(errno, "start libkmod");
  kmod_module* raw = nullptr;
  if (const int err = kmod_module_new_from_name(ctx.get(), kModuleName, &raw); err != 0) {
    return fail_errno(err, "name module nfbpf");
  }
  const Module module(raw);
  if (const int err = kmod_module_remove_module(module.get(), 0); err != 0) {
    return fail_errno(err, "remove module nfbpf");
  }
  return {};
}

}  // namespace nfbpf::loader
