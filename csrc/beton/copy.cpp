#include "beton/copy.h"

#include <algorithm>

#include "beton/placer.h"
#include "core/file_io.h"

namespace rescale_fast {
namespace {

constexpr auto kBlock = static_cast<std::int64_t>(kDigestBlock);

// Fills buffer with what the copies put at [at, at + kBlock), zeros elsewhere. Returns how many bytes were copied.
std::int64_t fill_block(const Array<Copy>& copies, std::int64_t at, std::uint8_t* buffer) {
  const auto reaches_in = [at](const Copy& copy) { return copy.to + copy.size <= at; };
  auto copy = std::partition_point(copies.begin(), copies.end(), reaches_in);
  std::int64_t filled = at, copied = 0;
  while (copy != copies.end() && copy->to < at + kBlock) {
    const std::int64_t skipped = std::max<std::int64_t>(0, at - copy->to);
    const int source = copy->source;
    const std::int64_t from = copy->from + skipped, to = copy->to + skipped;
    std::int64_t size = copy->size - skipped;
    for (++copy; copy != copies.end() && size < kBlock && copy->source == source && copy->from == from + size &&
                 copy->to == to + size;
         ++copy) {
      size += copy->size;  // continues the one before: read them at once
    }
    size = std::min(size, at + kBlock - to);
    std::fill(buffer + (filled - at), buffer + (to - at), std::uint8_t{0});
    read_whole(source, buffer + (to - at), static_cast<std::size_t>(size), static_cast<std::uint64_t>(from));
    filled = to + size;
    copied += size;
  }
  std::fill(buffer + (filled - at), buffer + kBlock, std::uint8_t{0});
  return copied;
}

}  // namespace

void place_payloads(const std::int64_t* sizes, std::int64_t num_samples, std::int64_t per_sample, std::uint64_t start,
                    std::uint64_t page_size, std::int64_t* pointers) {
  Placer placer(start, page_size);
  for (std::int64_t i = 0; i < num_samples; ++i) {
    std::uint64_t total = 0;
    for (std::int64_t j = 0; j < per_sample; ++j) total += static_cast<std::uint64_t>(sizes[i * per_sample + j]);
    std::uint64_t at = total > 0 ? placer.place(total) : 0;
    for (std::int64_t j = 0; j < per_sample; ++j) {
      const std::int64_t size = sizes[i * per_sample + j];
      pointers[i * per_sample + j] = size > 0 ? static_cast<std::int64_t>(at) : 0;
      at += static_cast<std::uint64_t>(size);
    }
  }
}

Array<Digest> copy_payloads(int target, const Array<Copy>& copies, std::int64_t start, std::int64_t end, Job& job) {
  Array<Digest> blocks((end - start) / kBlock);
  job.for_each(blocks.size(), [&] {
    return [&, buffer = std::vector<std::uint8_t>(kDigestBlock)](std::int64_t i) mutable {
      const std::int64_t at = start + i * kBlock;
      const std::int64_t copied = fill_block(copies, at, buffer.data());
      blocks[i] = digest_bytes(buffer.data(), buffer.size());
      if (copied > 0) {
        write_at(target, buffer.data(), buffer.size(), static_cast<std::uint64_t>(at));
        start_writeback(target, static_cast<std::uint64_t>(at), buffer.size());
      }
      job.advance(copied);
    };
  });
  return blocks;
}

}  // namespace rescale_fast
