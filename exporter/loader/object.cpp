// SPDX-License-Identifier: Apache-2.0
#include "loader/object.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <linux/bpf.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <climits>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <optional>
#include <sstream>
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

// C code calls it: nothing may be thrown through that.
int keep_libbpf_line(libbpf_print_level level, const char* format, va_list args) noexcept {
  std::array<char, 4096> line{};
  std::vsnprintf(line.data(), line.size(), format, args);
  if (level != LIBBPF_DEBUG) libbpf_log() += line.data();
  return 0;
}

constexpr std::size_t kVerifierLines = 8;  // the end of its log, where the cause stands

// Lines of the kernel's or libbpf's that tell a cause: not statistics, not libbpf's summaries.
std::vector<std::string> take_causes() {
  const std::string log = std::exchange(libbpf_log(), {});
  std::vector<std::string> causes;
  std::istringstream lines(log);
  for (std::string line; std::getline(lines, line);) {
    if (line.empty() || line.starts_with("processed ") || line.starts_with("--") ||
        line.starts_with("libbpf: failed to load object") ||
        line.find("PROG LOAD LOG --") != std::string::npos ||
        line.ends_with("failed to load: -13") || line.ends_with("failed to load: -22")) {
      continue;
    }
    causes.push_back(std::move(line));
  }
  return causes;
}

// The last of them, for the error's one line; what the verifier said before it goes to the log.
std::string last_cause() {
  const auto causes = take_causes();
  if (causes.empty()) return {};
  const std::size_t first = causes.size() - std::min(causes.size(), kVerifierLines);
  if (causes.size() > 1) {
    for (std::size_t i = first; i < causes.size(); ++i) spdlog::error("kernel: {}", causes[i]);
  }
  return " (" + causes.back() + ")";
}

// The name under which a map is pinned. Nothing: it is the program's alone, as its constants are.
std::optional<std::string> pin_name(const bpf_map* map) {
  if (!bpf_map__autocreate(map)) return std::nullopt;
  const std::string name = bpf_map__name(map);
  if (!bpf_map__is_internal(map)) return name;
  if (name == NFBPF_EPOCH_SECTION) return NFBPF_PIN_EPOCH;
  return std::nullopt;
}

// Of NAME_b, where the object has both buffers and the word that chooses: NAME.
std::string first_buffer(const bpf_object* object, const std::string& name) {
  const std::string_view suffix = NFBPF_BUFFER_SUFFIX;
  if (!name.ends_with(suffix)) return {};
  const std::string first = name.substr(0, name.size() - suffix.size());
  const bool both = bpf_object__find_map_by_name(object, first.c_str()) != nullptr &&
                    bpf_object__find_map_by_name(object, NFBPF_EPOCH_SECTION) != nullptr;
  return both ? first : "";
}

// A reader that empties buffers writes to them and to the word.
bool is_buffer(const bpf_object* object, const std::string& name) {
  return name == NFBPF_PIN_EPOCH || !first_buffer(object, name).empty() ||
         !first_buffer(object, name + NFBPF_BUFFER_SUFFIX).empty();
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

// The path of the first difference between two types, where both sides have BTF.
std::optional<std::string> difference(const btf* pinned, __u32 pinned_id, const btf* wanted,
                                      __u32 wanted_id, const char* what) {
  if (pinned == nullptr || wanted == nullptr || pinned_id == 0 || wanted_id == 0) return {};
  return layout_difference({pinned, pinned_id}, {wanted, wanted_id}, what);
}

tl::unexpected<Error> another_layout(const bpf_map* map, const fs::path& pin,
                                     const std::string& difference, const std::string& remedy) {
  return fail("map " + std::string(bpf_map__name(map)) + " pinned at " + pin.string() +
              " has another layout than the program's: " + difference + "; " + remedy);
}

// Who may use a pin that was there before, until it is certain that we stay.
Result<void> keep_access(const fs::path& pin, Undo& undo) {
  struct stat info {};
  if (::stat(pin.c_str(), &info) != 0) return fail_errno(errno, "stat " + pin.string());
  undo.add([pin, info] {
    if (::chown(pin.c_str(), info.st_uid, info.st_gid) != 0 ||
        ::chmod(pin.c_str(), info.st_mode & 07777) != 0) {
      spdlog::error("{}: who may use it could not be put back", pin.string());
    }
  });
  return {};
}

bool holds_pairs(std::string_view name) {
  return name == "nfbpf_ipv4" || name == "nfbpf_ipv6" || name == "nfbpf_ipv4_b" ||
         name == "nfbpf_ipv6_b";
}

}  // namespace

bool is_built_in(const fs::path& file) {
  const std::string name = file.filename();
  return name == "traffic.bpf.o" || name == "traffic_flow.bpf.o" ||
         name == "traffic_netfilter.bpf.o" || name == "traffic_flow_netfilter.bpf.o";
}

// Uses the pinned map instead of a new one, if there is one. Its size stays what it is.
Result<void> LoadedObject::reuse_pinned(bpf_map* map, const fs::path& pin,
                                        const ObjectOptions& options) {
  UniqueFd fd(bpf_obj_get(pin.c_str()));
  if (!fd) {
    if (errno == ENOENT) return {};
    return fail_errno(errno, "map pin " + pin.string());
  }
  auto info = map_info(fd.get(), "info of " + pin.string());
  if (!info)
    return fail("map pin " + pin.string() + " is not a map: remove it, or give another --pin-dir");
  const btf* wanted = bpf_object__btf(object_.get());
  const auto pinned = types_of_map(*info, pin);
  if (!pinned) return tl::unexpected(pinned.error());
  // Sizes alone would let two exchanged members pass.
  if (const auto key = difference(pinned->get(), info->btf_key_type_id, wanted,
                                  bpf_map__btf_key_type_id(map), "key")) {
    return another_layout(map, pin, *key, "name the program's map anew, or detach first");
  }
  if (const auto value = difference(pinned->get(), info->btf_value_type_id, wanted,
                                    bpf_map__btf_value_type_id(map), "value")) {
    if (options.may_move_rows) {
      return succeed(map, std::move(fd), *info, pinned->get(), pin, options);
    }
    return another_layout(map, pin, *value, "name the program's map anew, or detach first");
  }
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

// The pinned map's rows are to move into this one, whose value is another struct.
Result<void> LoadedObject::succeed(bpf_map* map, UniqueFd old, const bpf_map_info& info,
                                   const btf* old_types, const fs::path& pin,
                                   const ObjectOptions& options) {
  const std::string name = bpf_map__name(map);
  const btf* types = bpf_object__btf(object_.get());
  bpf_map_info same_but_value = info;
  same_but_value.value_size = bpf_map__value_size(map);
  if (auto ok = same_layout(map, same_but_value, pin); !ok) return ok;
  Successor successor{.old = std::move(old),
                      .moves = {},
                      .transient = is_state(types, bpf_map__btf_value_type_id(map)),
                      .pin = pin,
                      .next_pin = options.pin_dir / (kPinNextMap + name),
                      .progress_pin = options.pin_dir / (kPinProgress + name)};
  if (!successor.transient) {
    auto moves = value_moves({old_types, info.btf_value_type_id},
                             {types, bpf_map__btf_value_type_id(map)}, options.may_drop_members);
    if (!moves) {
      return another_layout(map, pin, moves.error().what,
                            "keep that member, name the program's map anew, or say "
                            "--drop-members and lose what it counted");
    }
    successor.moves = std::move(*moves);
  }
  // Room for every old row and for those that come while they are moved.
  bpf_map__set_max_entries(map, std::max(bpf_map__max_entries(map), info.max_entries));
  successors_.emplace(name, std::move(successor));
  return {};
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
    const auto name = pin_name(map);
    if (!name) continue;
    if (options.max_pairs && holds_pairs(*name)) {
      bpf_map__set_max_entries(map, *options.max_pairs);
    }
    const fs::path pin = options.pin_dir / NFBPF_PIN_MAPS / *name;
    if (auto ok = reuse_pinned(map, pin, options); !ok) return ok;
  }
  return {};
}

Result<void> LoadedObject::pin(const ObjectOptions& options, Undo& undo) {
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object_.get()) {
    const auto pinned_as = pin_name(map);
    if (!pinned_as) continue;
    const std::string& name = *pinned_as;
    const fs::path pin = options.pin_dir / NFBPF_PIN_MAPS / name;
    fs::path lies_at = pin;
    if (const auto successor = successors_.find(name); successor != successors_.end()) {
      lies_at = successor->second.next_pin;
      if (auto ok = pin_successor(name, bpf_map__fd(map), successor->second, undo); !ok) return ok;
      maps_are_new_ = false;
    } else if (::access(pin.c_str(), F_OK) != 0) {
      if (bpf_obj_pin(bpf_map__fd(map), pin.c_str()) != 0) {
        return fail_errno(errno, "pin map " + name + " at " + pin.string());
      }
      undo.add([pin] { ::unlink(pin.c_str()); });
    } else {
      maps_are_new_ = false;
      if (auto ok = keep_access(pin, undo); !ok) return ok;
    }
    const bool written = is_buffer(object_.get(), name);
    if (auto ok = (written ? let_write : let_read)(lies_at, options.readers); !ok) return ok;
    if (name == NFBPF_PIN_EPOCH) continue;  // has no rows for a reader
    auto info = map_info(bpf_map__fd(map), "info of " + name);
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
    maps_.back().second_of = first_buffer(object_.get(), name);
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

// Pinned beside the old one until the program runs.
Result<void> LoadedObject::pin_successor(const std::string& name, int map, Successor& successor,
                                         Undo& undo) {
  // Of a swap that was killed.
  ::unlink(successor.next_pin.c_str());
  ::unlink(successor.progress_pin.c_str());
  if (bpf_obj_pin(map, successor.next_pin.c_str()) != 0) {
    return fail_errno(errno, "pin map " + name + " at " + successor.next_pin.string());
  }
  undo.add([pin = successor.next_pin] { ::unlink(pin.c_str()); });
  if (successor.transient) return {};
  auto mover =
      RowMover::prepare(successor.old.get(), map, std::move(successor.moves), "map " + name);
  if (!mover) return tl::unexpected(mover.error());
  successor.mover = std::move(*mover);
  if (auto ok = successor.mover->pin_progress(successor.progress_pin); !ok) return ok;
  undo.add([pin = successor.progress_pin] { ::unlink(pin.c_str()); });
  return successor.mover->reserve();
}

Result<void> LoadedObject::move_rows(Undo& undo) {
  for (auto& [name, successor] : successors_) {
    if (successor.mover) {
      const auto homeless = successor.mover->move();
      if (!homeless) return tl::unexpected(homeless.error());
      if (*homeless > 0) {
        spdlog::error(
            "map {}: {} rows came while the program was replaced and found no place; "
            "what they counted is lost",
            name, *homeless);
      }
    }
    if (auto ok = exchange_pins(successor.pin, successor.next_pin); !ok) return ok;
    undo.add([pin = successor.pin, next = successor.next_pin] {
      if (auto back = exchange_pins(pin, next); !back) spdlog::error("{}", back.error().what);
    });
  }
  return {};
}

bool LoadedObject::has_buffers() const {
  return std::ranges::any_of(maps_, [](const PinnedMap& map) { return !map.second_of.empty(); });
}

std::vector<std::string> LoadedObject::moved_maps() const {
  std::vector<std::string> names;
  for (const auto& [name, successor] : successors_) names.push_back(name);
  return names;
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
    return fail("object " + options.file.string() + " does not exist: " +
                (options.entry == Entry::kNetfilter
                     ? "the netfilter link wants an object of its own, which of ours the built-in "
                       "program alone has; take --datapath kmod or pinned, or build that one"
                     : "give a *.bpf.o with --program, or the folder of the objects with "
                       "--object-dir"));
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
