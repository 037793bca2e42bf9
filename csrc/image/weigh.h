// Weighted sums of samples: the two passes of every change of size.
#pragma once

#include <cstdint>

#include "image/resample_taps.h"

namespace rescale_fast {

constexpr std::int64_t kBehind = 32;  // bytes that weigh_across may look at behind a line

// Overwrites `out` with output row i: the weighted sum of rows of `row_bytes` each, `stride` bytes apart. Row
// taps.first[i] is at `rows`.
void weigh_down(const std::uint8_t* rows, std::int64_t stride, std::int64_t row_bytes, const Taps& taps, std::int64_t i,
                std::uint8_t* out);

// Overwrites `out` with all output samples of a line, of 1 or 3 channels. Precondition: kBehind bytes behind the line
// can be read.
void weigh_across(const std::uint8_t* line, std::int64_t channels, const Taps& taps, std::uint8_t* out);

}  // namespace rescale_fast
