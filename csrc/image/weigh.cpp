// Sums are kept modulo 2^32: their parts may overflow, and the sums themselves never do.
#include "image/weigh.h"

#include <algorithm>
#include <cstring>

#include "image/lanes.h"

namespace rescale_fast {
namespace {

constexpr std::int64_t kColumns = 16;  // weighed at once

// What one output sample is a sum of, with weights of one part or of two.
template <int kParts>
struct Weights {
  static constexpr int kBits = kParts == 1 ? kCoarseBits : kWeightBits;
  static constexpr std::int32_t kHalf = 1 << (kBits - 1);

  Weights(const Taps& taps, std::int64_t i)
      : high(taps.high.data() + i * taps.widest),
        low(kParts == 1 ? nullptr : taps.low.data() + i * taps.widest),
        count(taps.count[i]) {}

  std::uint8_t sum(const std::uint8_t* sample, std::int64_t step) const {
    std::uint32_t sum = kHalf;
    for (std::int64_t k = 0; k < count; ++k) {
      const std::int32_t weight = kParts == 1 ? high[k] : high[k] * (1 << kLowBits) + low[k];
      sum += static_cast<std::uint32_t>(weight) * sample[k * step];
    }
    return static_cast<std::uint8_t>(std::clamp(static_cast<std::int32_t>(sum) >> kBits, 0, 255));
  }

  const std::int16_t *high, *low;
  std::int64_t count;
};

// Four sums, or the parts of them.
template <int kParts>
struct Sums {
  U32x4 high{}, low{};

  // Adds products with one pair of weights, or with eight weights.
  void add_pair(I16x8 samples, const Weights<kParts>& weights, std::int64_t k) {
    high += multiply_pairs(samples, repeat_pair(weights.high + k));
    if constexpr (kParts == 2) low += multiply_pairs(samples, repeat_pair(weights.low + k));
  }
  void add_eight(I16x8 samples, const Weights<kParts>& weights, std::int64_t k) {
    high += multiply_pairs(samples, load_number<I16x8>(weights.high + k));
    if constexpr (kParts == 2) low += multiply_pairs(samples, load_number<I16x8>(weights.low + k));
  }
  I32x4 rounded() const {
    const U32x4 sum = kParts == 1 ? high : (high << kLowBits) + low;
    return reinterpret_cast<I32x4>(sum + static_cast<std::uint32_t>(Weights<kParts>::kHalf)) >> Weights<kParts>::kBits;
  }
};

// Weighs kColumns columns, two rows with each multiplication; an odd last row goes with zeros.
template <int kParts>
void weigh_columns(const std::uint8_t* row, std::int64_t stride, const Weights<kParts>& weights, std::uint8_t* out) {
  Sums<kParts> a, b, c, d;
  for (std::int64_t k = 0; k < weights.count; k += 2, row += 2 * stride) {
    const U8x16 above = load16(row), below = k + 1 < weights.count ? load16(row + stride) : U8x16{};
    const U8x16 low = zip_low(above, below), high = zip_high(above, below);
    a.add_pair(widen_low(low), weights, k);
    b.add_pair(widen_high(low), weights, k);
    c.add_pair(widen_low(high), weights, k);
    d.add_pair(widen_high(high), weights, k);
  }
  const U8x16 bytes = to_bytes(a.rounded(), b.rounded(), c.rounded(), d.rounded());
  std::memcpy(out, &bytes, sizeof bytes);
}

template <int kParts>
void weigh_row(const std::uint8_t* rows, std::int64_t stride, std::int64_t row_bytes, const Weights<kParts>& weights,
               std::uint8_t* out) {
  std::int64_t x = 0;
  for (; x + kColumns <= row_bytes; x += kColumns) weigh_columns(rows + x, stride, weights, out + x);
  for (; x < row_bytes; ++x) out[x] = weights.sum(rows + x, stride);
}

// Weighs RGB pixels, four with each turn: the lanes of a sum are R, G, B and rubbish.
template <int kParts>
void weigh_pixels(const std::uint8_t* pixel, const Weights<kParts>& weights, std::uint8_t* out) {
  Sums<kParts> sums;
  for (std::int64_t k = 0; k < weights.count; k += 4, pixel += 12) {
    sums.add_pair(widen_low(zip_low(load8(pixel), load8(pixel + 3))), weights, k);
    sums.add_pair(widen_low(zip_low(load8(pixel + 6), load8(pixel + 9))), weights, k + 2);
  }
  const I32x4 rounded = sums.rounded();
  const U8x16 bytes = to_bytes(rounded, rounded, rounded, rounded);
  std::memcpy(out, &bytes, 3);
}

// The parts of the sum of one output sample, eight samples with each multiplication, beyond the last with weight 0.
template <int kParts>
Sums<kParts> weigh_samples(const std::uint8_t* line, const Taps& taps, std::int64_t i) {
  const Weights<kParts> weights(taps, i);
  const std::uint8_t* sample = line + taps.first[i];
  Sums<kParts> sums;
  for (std::int64_t k = 0; k < weights.count; k += 8) sums.add_eight(widen_low(load8(sample + k)), weights, k);
  return sums;
}

// Weighs a line of one channel; four output samples together.
template <int kParts>
void weigh_line(const std::uint8_t* line, const Taps& taps, std::uint8_t* out) {
  const std::int64_t outputs = taps.first.size();
  std::int64_t x = 0;
  for (; x + 4 <= outputs; x += 4) {
    const Sums<kParts> a = weigh_samples<kParts>(line, taps, x), b = weigh_samples<kParts>(line, taps, x + 1);
    const Sums<kParts> c = weigh_samples<kParts>(line, taps, x + 2), d = weigh_samples<kParts>(line, taps, x + 3);
    Sums<kParts> all;
    all.high = add_across(a.high, b.high, c.high, d.high);
    if constexpr (kParts == 2) all.low = add_across(a.low, b.low, c.low, d.low);
    const I32x4 rounded = all.rounded();
    const U8x16 bytes = to_bytes(rounded, rounded, rounded, rounded);
    std::memcpy(out + x, &bytes, 4);
  }
  for (; x < outputs; ++x) out[x] = Weights<kParts>(taps, x).sum(line + taps.first[x], 1);
}

template <int kParts>
void weigh_line_of(std::int64_t channels, const std::uint8_t* line, const Taps& taps, std::uint8_t* out) {
  if (channels == 1) {
    weigh_line<kParts>(line, taps, out);
    return;
  }
  for (std::int64_t x = 0; x < taps.first.size(); ++x, out += 3) {
    weigh_pixels(line + std::int64_t{3} * taps.first[x], Weights<kParts>(taps, x), out);
  }
}

}  // namespace

void weigh_down(const std::uint8_t* rows, std::int64_t stride, std::int64_t row_bytes, const Taps& taps, std::int64_t i,
                std::uint8_t* out) {
  if (taps.low.empty()) {
    weigh_row(rows, stride, row_bytes, Weights<1>(taps, i), out);
  } else {
    weigh_row(rows, stride, row_bytes, Weights<2>(taps, i), out);
  }
}

void weigh_across(const std::uint8_t* line, std::int64_t channels, const Taps& taps, std::uint8_t* out) {
  if (taps.low.empty()) {
    weigh_line_of<1>(channels, line, taps, out);
  } else {
    weigh_line_of<2>(channels, line, taps, out);
  }
}

}  // namespace rescale_fast
