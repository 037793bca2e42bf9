// Copies payloads from betons to a beton.
#pragma once

#include <cstdint>

#include "beton/block_digest.h"
#include "core/array.h"
#include "core/job.h"

namespace rescale_fast {

// Places n samples of `per_sample` payloads each, those of a sample on one page: sizes is (n, per_sample), bytes,
// 0 = no payload; pointers, of the same shape, is overwritten.
// Precondition: the sizes of a sample sum to at most page_size; the caller checks it.
void place_payloads(const std::int64_t* sizes, std::int64_t num_samples, std::int64_t per_sample, std::uint64_t start,
                    std::uint64_t page_size, std::int64_t* pointers);

struct Copy {
  int source;                   // file descriptor
  std::int64_t from, to, size;  // bytes
};

// Makes the copies, block by block of the target's [start, end); what no copy fills is left as it is, and taken for
// zeros. Returns the digests of the blocks. The job advances by bytes copied. Precondition: copies are in the order of
// `to`, do not overlap and lie in [start, end), which are multiples of kDigestBlock. Throws std::system_error; errno is
// ENODATA when a source is shorter than it should be.
Array<Digest> copy_payloads(int target, const Array<Copy>& copies, std::int64_t start, std::int64_t end, Job& job);

}  // namespace rescale_fast
