// The digest of a file: XXH3-128 over the XXH3-128 of each MiB of it. By blocks, so that threads can share the work and a
// file can be digested while it is written.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace rescale_fast {

constexpr std::uint64_t kDigestBlock = std::uint64_t{1} << 20;  // bytes

using Digest = std::array<std::uint8_t, 16>;  // XXH3-128, in its canonical (big-endian) form

Digest digest_bytes(const std::uint8_t* data, std::size_t size);

// Digests the blocks of a part of a file whose bytes come in order. What is skipped reads as zeros.
class BlockDigests {
 public:
  explicit BlockDigests(std::uint64_t start);  // offset in the file, a multiple of kDigestBlock
  ~BlockDigests();
  void add(const std::uint8_t* data, std::size_t size);
  void skip_to(std::uint64_t offset);
  // Zeros up to `end`, a multiple of kDigestBlock; returns the digests of all blocks.
  std::vector<Digest> finish(std::uint64_t end);

 private:
  struct Hash;
  std::unique_ptr<Hash> hash_;
  std::uint64_t at_;
  std::vector<Digest> done_;
};

}  // namespace rescale_fast
