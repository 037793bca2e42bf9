#include "block_digest.h"

#include <algorithm>
#include <iterator>
#include <utility>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace rescale_fast {
namespace {

Digest canonical(XXH128_hash_t hash) {
  XXH128_canonical_t bytes;
  XXH128_canonicalFromHash(&bytes, hash);
  Digest digest;
  std::copy(std::begin(bytes.digest), std::end(bytes.digest), digest.begin());
  return digest;
}

}  // namespace

Digest digest_bytes(const std::uint8_t* data, std::size_t size) { return canonical(XXH3_128bits(data, size)); }

struct BlockDigests::Hash {
  XXH3_state_t state;
};

BlockDigests::BlockDigests(std::uint64_t start) : hash_(std::make_unique<Hash>()), at_(start) {
  XXH3_128bits_reset(&hash_->state);
}

BlockDigests::~BlockDigests() = default;

void BlockDigests::add(const std::uint8_t* data, std::size_t size) {
  while (size > 0) {
    const std::size_t part = std::min(size, static_cast<std::size_t>(kDigestBlock - at_ % kDigestBlock));
    XXH3_128bits_update(&hash_->state, data, part);
    data += part;
    size -= part;
    at_ += part;
    if (at_ % kDigestBlock == 0) {
      done_.push_back(canonical(XXH3_128bits_digest(&hash_->state)));
      XXH3_128bits_reset(&hash_->state);
    }
  }
}

void BlockDigests::skip_to(std::uint64_t offset) {
  static const std::vector<std::uint8_t> zeros(std::size_t{1} << 16);
  while (at_ < offset) add(zeros.data(), static_cast<std::size_t>(std::min<std::uint64_t>(zeros.size(), offset - at_)));
}

std::vector<Digest> BlockDigests::finish(std::uint64_t end) {
  skip_to(end);
  return std::move(done_);
}

}  // namespace rescale_fast
