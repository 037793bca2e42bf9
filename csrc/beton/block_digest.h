// The digest of a file: XXH3-128 over the XXH3-128 of each MiB of it. By blocks, so that threads can share the work
// and a file can be digested while it is written.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace rescale_fast {

constexpr std::uint64_t kDigestBlock = std::uint64_t{1} << 20;  // bytes

using Digest = std::array<std::uint8_t, 16>;  // XXH3-128, in its canonical (big-endian) form

Digest digest_bytes(const std::uint8_t* data, std::size_t size);

}  // namespace rescale_fast
