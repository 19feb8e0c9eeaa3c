// SPDX-License-Identifier: Apache-2.0
#include "loader/object.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <linux/bpf.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <climits>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string_view>

#include "abi/nfbpf.h"
#include "base/unique_fd.h"
#include "loader/constants.h"
#include "loader/map_layout.h"

namespace nfbpf::loader {
namespace fs = std::filesystem;
namespace {

// uapi/linux/bpf.h of Linux 6.4; the headers that we build with may be older, and then a cast
// would name a value that the enum does not have.
const auto kProgramTypeNetfilter = std::bit_cast<bpf_prog_type>(std::uint32_t{32});
const auto kAttachTypeNetfilter = std::bit_cast<bpf_attach_type>(std::uint32_t{45});

// What libbpf printed since the last take: the verifier's verdict is in it and nowhere else.
std::string& libbpf_log() {
  static std::string log;
  return log;
}

int keep_libbpf_line(libbpf_print_level level, const char* format, va_list args) {
  std::array<char, 4096> line{};
  std::vsnprintf(line.data(), line.size(), format, args);
  if (level != LIBBPF_DEBUG) libbpf_log() += line.data();
  return 0;
}

// The last line that tells a cause: verifier logs end in statistics and libbpf's own summary.
std::string last_cause() {
  const std::string log = std::exchange(libbpf_log(), {});
  std::string cause;
  for (std::size_t at = 0; at < log.size();) {
    std::size_t end = log.find('\n', at);
    if (end == std::string::npos) end = log.size();
    const std::string_view line(log.data() + at, end - at);
    at = end + 1;
    if (line.empty() || line.starts_with("processed ") || line.starts_with("--") ||
        line.starts_with("-- ") || line.starts_with("libbpf: failed to load object") ||
        line.find("-- END PROG LOAD LOG") != std::string_view::npos ||
        line.ends_with("failed to load: -13") || line.ends_with("failed to load: -22")) {
      continue;
    }
    cause = line;
  }
  return cause.empty() ? cause : " (" + cause + ")";
}

bool is_internal(const bpf_map* map) {
  return bpf_map__is_internal(map);
}

// A program that has nothing of our ABI in it need not say so.
Result<void> check_abi(bpf_object* object, const bpf_program* program, const fs::path& file) {
  const auto constant = find_constant(object, "nfbpf_abi");
  std::uint32_t abi = 0;
  if (!constant || constant->size() != sizeof(abi)) return {};
  std::memcpy(&abi, constant->data(), sizeof(abi));
  if (abi == NFBPF_ABI_MAJOR) return {};
  return fail("program " + std::string(bpf_program__name(program)) + " of " + file.string() +
              " speaks ABI " + std::to_string(abi) + ", nfbpf-load speaks " +
              std::to_string(NFBPF_ABI_MAJOR) + ": rebuild it against bpf/abi/nfbpf.h");
}

Result<bpf_map_info> info_of(int fd, const std::string& what) {
  bpf_map_info info{};
  __u32 length = sizeof(info);
  if (bpf_obj_get_info_by_fd(fd, &info, &length) != 0) return fail_errno(errno, "info of " + what);
  return info;
}

Result<void> same_layout(const bpf_map* map, const bpf_map_info& pinned, const fs::path& pin) {
  struct Fact {
    const char* what;
    __u32 pinned, wanted;
  };
  for (const Fact& fact : {Fact{"type", pinned.type, static_cast<__u32>(bpf_map__type(map))},
                           Fact{"key size", pinned.key_size, bpf_map__key_size(map)},
                           Fact{"value size", pinned.value_size, bpf_map__value_size(map)},
                           Fact{"flags", pinned.map_flags, bpf_map__map_flags(map)}}) {
    if (fact.pinned == fact.wanted) continue;
    return fail("map " + std::string(bpf_map__name(map)) + " pinned at " + pin.string() + " has " +
                fact.what + " " + std::to_string(fact.pinned) + ", the program wants " +
                std::to_string(fact.wanted) +
                ": remove that pin if nothing uses it, or give another --pin-dir");
  }
  return {};
}

// The members by name, where both sides have BTF. Sizes alone would let two exchanged members pass.
Result<void> same_members(const bpf_map* map, const bpf_map_info& pinned, const btf* types,
                          const fs::path& pin) {
  if (pinned.btf_id == 0 || types == nullptr) return {};
  const std::unique_ptr<btf, decltype(&btf__free)> pinned_types(
      btf__load_from_kernel_by_id(pinned.btf_id), btf__free);
  if (!pinned_types) return fail_errno(errno, "BTF of the map pinned at " + pin.string());
  struct Side {
    const char* what;
    __u32 pinned, wanted;
  };
  for (const Side& side :
       {Side{"key", pinned.btf_key_type_id, bpf_map__btf_key_type_id(map)},
        Side{"value", pinned.btf_value_type_id, bpf_map__btf_value_type_id(map)}}) {
    if (side.pinned == 0 || side.wanted == 0) continue;
    const auto difference =
        layout_difference({pinned_types.get(), side.pinned}, {types, side.wanted}, side.what);
    if (!difference) continue;
    return fail("map " + std::string(bpf_map__name(map)) + " pinned at " + pin.string() +
                " has another layout than the program's: " + *difference +
                "; name the program's map anew, or detach first");
  }
  return {};
}

// Uses the pinned map instead of a new one, if there is one. Its size stays what it is.
Result<void> reuse_pinned(bpf_map* map, const btf* types, const fs::path& pin) {
  const UniqueFd fd(bpf_obj_get(pin.c_str()));
  if (!fd) {
    if (errno == ENOENT) return {};
    return fail_errno(errno, "map pin " + pin.string());
  }
  auto info = info_of(fd.get(), pin.string());
  if (!info)
    return fail("map pin " + pin.string() + " is not a map: remove it, or give another --pin-dir");
  if (auto ok = same_members(map, *info, types, pin); !ok) return ok;
  if (auto ok = same_layout(map, *info, pin); !ok) return ok;
  if (info->max_entries != bpf_map__max_entries(map)) {
    spdlog::warn(
        "map {} goes on with the {} entries it has, not {}: detach without --keep-maps first to "
        "resize it",
        bpf_map__name(map), info->max_entries, bpf_map__max_entries(map));
    bpf_map__set_max_entries(map, info->max_entries);
  }
  if (const int err = bpf_map__reuse_fd(map, fd.get()); err != 0) {
    return fail_errno(err, "use the pinned map " + pin.string());
  }
  return {};
}

bool holds_pairs(std::string_view name) {
  return name == "nfbpf_ipv4" || name == "nfbpf_ipv6";
}

}  // namespace

bool is_built_in(const fs::path& file) {
  const std::string name = file.filename();
  return name == "traffic.bpf.o" || name == "traffic_flow.bpf.o" ||
         name == "traffic_netfilter.bpf.o" || name == "traffic_flow_netfilter.bpf.o";
}

Result<void> LoadedObject::prepare(const ObjectOptions& options) {
  bpf_program* program = bpf_object__next_program(object_.get(), nullptr);
  if (program == nullptr) {
    return fail("object " + options.file.string() +
                " has no program: it needs one in SEC(\"socket\")");
  }
  if (options.entry == Entry::kNetfilter) {
    bpf_program__set_type(program, kProgramTypeNetfilter);
    bpf_program__set_expected_attach_type(program, kAttachTypeNetfilter);
  } else if (bpf_program__type(program) != BPF_PROG_TYPE_SOCKET_FILTER) {
    const char* section = bpf_program__section_name(program);
    return fail("program " + std::string(bpf_program__name(program)) + " of " +
                options.file.string() + " is SEC(\"" + section +
                "\"), the module runs SEC(\"socket\"): build it with that section");
  }
  if (auto ok = check_abi(object_.get(), program, options.file); !ok) return ok;
  if (auto ok = set_choices(object_.get(), options.choices, options.strict, options.atomic_adds);
      !ok)
    return ok;
  has_choices_ = find_constant(object_.get(), "key_parts").has_value();
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object_.get()) {
    if (is_internal(map) || !bpf_map__autocreate(map)) continue;
    if (options.max_pairs && holds_pairs(bpf_map__name(map))) {
      bpf_map__set_max_entries(map, *options.max_pairs);
    }
    const fs::path pin = options.pin_dir / NFBPF_PIN_MAPS / bpf_map__name(map);
    if (auto ok = reuse_pinned(map, bpf_object__btf(object_.get()), pin); !ok) return ok;
  }
  return {};
}

Result<void> LoadedObject::pin(const ObjectOptions& options, Undo& undo) {
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object_.get()) {
    if (is_internal(map) || !bpf_map__autocreate(map)) continue;
    const std::string name = bpf_map__name(map);
    const fs::path pin = options.pin_dir / NFBPF_PIN_MAPS / name;
    if (::access(pin.c_str(), F_OK) != 0) {
      if (bpf_obj_pin(bpf_map__fd(map), pin.c_str()) != 0) {
        return fail_errno(errno, "pin map " + name + " at " + pin.string());
      }
      undo.add([pin] { ::unlink(pin.c_str()); });
    } else {
      maps_are_new_ = false;
    }
    if (auto ok = let_read(pin, options.readers); !ok) return ok;
    auto info = info_of(bpf_map__fd(map), name);
    if (!info) return tl::unexpected(info.error());
    maps_.push_back({name,
                     pin,
                     info->id,
                     info->type,
                     info->key_size,
                     info->value_size,
                     info->max_entries,
                     info->btf_key_type_id,
                     info->btf_value_type_id,
                     info->btf_id,
                     {}});
    // A map of that name in another program has the parts that it has.
    if (holds_pairs(name) && has_choices_) maps_.back().hidden = options.choices.hidden_labels();
  }
  program_pin_ = options.pin_dir / options.program_pin;
  if (bpf_obj_pin(program_fd(), program_pin_.c_str()) != 0) {
    const int err = errno;
    return fail_errno(err, "pin the program at " + program_pin_.string() +
                               (err == EEXIST ? ", where one is already: detach first" : ""));
  }
  undo.add([pin = program_pin_] { ::unlink(pin.c_str()); });
  return {};
}

Result<LoadedObject> LoadedObject::load(const ObjectOptions& options, Undo& undo) {
  libbpf_set_print(keep_libbpf_line);
  libbpf_log().clear();
  if (options.file.native().size() >= PATH_MAX) {
    return fail("object path is " + std::to_string(options.file.native().size()) +
                " bytes long, the limit is " + std::to_string(PATH_MAX - 1) +
                ": give a shorter one");
  }
  std::error_code ec;
  if (!fs::exists(options.file, ec)) {
    return fail("object " + options.file.string() +
                " does not exist: give a *.bpf.o with --program, or the folder of the objects with "
                "--object-dir");
  }
  bpf_object* raw = bpf_object__open_file(options.file.c_str(), nullptr);
  if (raw == nullptr) {
    const int err = errno;
    std::array<char, 128> text{};
    libbpf_strerror(err, text.data(), text.size());
    return tl::unexpected(Error{err, options.file.string() +
                                         " is no BPF object that can be loaded: " + text.data() +
                                         last_cause()});
  }
  LoadedObject object(raw);
  if (auto ok = object.prepare(options); !ok) return tl::unexpected(ok.error());
  if (const int err = bpf_object__load(raw); err != 0) {
    return fail_errno(err, "the kernel refused " + options.file.string() + last_cause());
  }
  if (auto ok = object.pin(options, undo); !ok) return tl::unexpected(ok.error());
  return object;
}

int LoadedObject::program_fd() const {
  return bpf_program__fd(bpf_object__next_program(object_.get(), nullptr));
}

Result<ProgramInfo> LoadedObject::program() const {
  bpf_prog_info info{};
  __u32 length = sizeof(info);
  if (bpf_obj_get_info_by_fd(program_fd(), &info, &length) != 0) {
    return fail_errno(errno, "info of the program");
  }
  ProgramInfo program{info.name, info.id, {}};
  for (const unsigned char byte : info.tag) {
    std::array<char, 3> hex{};
    std::snprintf(hex.data(), hex.size(), "%02x", byte);
    program.tag += hex.data();
  }
  return program;
}

}  // namespace nfbpf::loader
