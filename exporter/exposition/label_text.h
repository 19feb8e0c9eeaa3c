// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "exposition/page.h"
#include "traffic/table.h"

namespace nfbpf::exposition {

// Writes a label's value from the bytes of a key, escaped. `key` is the whole packed key. What
// comes out is UTF-8 without control characters, and the inside of a JSON string as well.
void write_field(Page& page, const traffic::Field& field, std::span<const std::byte> key);

// 4 bytes in network order: dotted quad.
void write_ipv4(Page& page, const std::byte* address);
// 16 bytes in network order: RFC 5952, an IPv4-mapped address with its dotted quad.
void write_ipv6(Page& page, const std::byte* address);

// A label value: backslash, double quote and line feed escaped. UTF-8 as it is.
void write_label_value(Page& page, std::string_view value);
// Text of a program, up to the first NUL. What is no UTF-8, a control character or a backslash is
// shown as \xNN, so that different bytes are different values.
void write_string(Page& page, std::span<const std::byte> bytes);
// A HELP text of format 0.0.4: backslash and line feed escaped.
void write_help(Page& page, std::string_view help);

// Whether all of it is UTF-8 without control characters.
[[nodiscard]] bool is_printable(std::string_view text);

// "tcp" for 6; empty for numbers without a name of their own here.
[[nodiscard]] std::string_view protocol_name(std::uint64_t number);

}  // namespace nfbpf::exposition
