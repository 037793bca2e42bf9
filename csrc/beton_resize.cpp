#include "beton_resize.h"

#include <algorithm>
#include <cmath>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define RESCALE_FAST_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define RESCALE_FAST_CLONES
#endif

namespace rescale_fast {
namespace {

constexpr int kBits = 14;

struct Taps {
  std::vector<int> first;            // of each output sample: its first input sample
  std::vector<int> count;            // how many
  std::vector<std::int32_t> weight;  // (outputs, widest), each row's sum is 1 << kBits
  int widest = 0;
};

Taps triangle_taps(int in, int out) {
  Taps taps;
  const double step = static_cast<double>(in) / out, reach = std::max(step, 1.0);
  taps.widest = static_cast<int>(std::ceil(reach)) * 2 + 1;
  taps.first.resize(static_cast<std::size_t>(out));
  taps.count.resize(static_cast<std::size_t>(out));
  taps.weight.assign(static_cast<std::size_t>(out) * static_cast<std::size_t>(taps.widest), 0);
  std::vector<double> exact(static_cast<std::size_t>(taps.widest));
  for (int i = 0; i < out; ++i) {
    const double centre = (i + 0.5) * step;
    const int begin = std::max(0, static_cast<int>(centre - reach + 0.5));
    const int end = std::min(in, static_cast<int>(centre + reach + 0.5));
    const int count = std::min(end - begin, taps.widest);
    double sum = 0;
    for (int k = 0; k < count; ++k) {
      const double value = std::max(0.0, 1.0 - std::abs(begin + k + 0.5 - centre) / reach);
      exact[static_cast<std::size_t>(k)] = value;
      sum += value;
    }
    std::int32_t* row = taps.weight.data() + static_cast<std::size_t>(i) * static_cast<std::size_t>(taps.widest);
    std::int32_t left = 1 << kBits;
    int largest = 0;
    for (int k = 0; k < count; ++k) {
      row[k] = static_cast<std::int32_t>(std::lround(exact[static_cast<std::size_t>(k)] / sum * (1 << kBits)));
      left -= row[k];
      if (row[k] > row[largest]) largest = k;
    }
    row[largest] += left;  // the sum is exact, so a flat image stays flat and nothing overflows
    taps.first[static_cast<std::size_t>(i)] = begin;
    taps.count[static_cast<std::size_t>(i)] = count;
  }
  return taps;
}

RESCALE_FAST_CLONES void add_row(std::int32_t* __restrict sum, const std::uint8_t* __restrict row,
                                 std::int32_t weight, std::size_t size) {
  for (std::size_t x = 0; x < size; ++x) sum[x] += weight * row[x];
}

RESCALE_FAST_CLONES void add_two_rows(std::int32_t* __restrict sum, const std::uint8_t* __restrict a,
                                      std::int32_t weight_a, const std::uint8_t* __restrict b,
                                      std::int32_t weight_b, std::size_t size) {
  for (std::size_t x = 0; x < size; ++x) sum[x] += weight_a * a[x] + weight_b * b[x];
}

RESCALE_FAST_CLONES void round_row(const std::int32_t* __restrict sum, std::uint8_t* __restrict out,
                                   std::size_t size) {
  for (std::size_t x = 0; x < size; ++x) out[x] = static_cast<std::uint8_t>(sum[x] >> kBits);
}

void weigh_columns(const std::uint8_t* row, const Taps& taps, int out, std::uint8_t* target) {
  for (int i = 0; i < out; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const std::uint8_t* pixel = row + static_cast<std::size_t>(taps.first[at]) * 3;
    const std::int32_t* weight = taps.weight.data() + at * static_cast<std::size_t>(taps.widest);
    std::int32_t red = 1 << (kBits - 1), green = red, blue = red;
    for (int k = 0; k < taps.count[at]; ++k, pixel += 3) {
      red += weight[k] * pixel[0];
      green += weight[k] * pixel[1];
      blue += weight[k] * pixel[2];
    }
    target[3 * at] = static_cast<std::uint8_t>(red >> kBits);
    target[3 * at + 1] = static_cast<std::uint8_t>(green >> kBits);
    target[3 * at + 2] = static_cast<std::uint8_t>(blue >> kBits);
  }
}

}  // namespace

Pixels resize_triangle(const Pixels& image, int width, int height) {
  const Taps across = triangle_taps(image.width, width), down = triangle_taps(image.height, height);
  const std::size_t in_stride = static_cast<std::size_t>(image.width) * 3;
  const std::size_t out_stride = static_cast<std::size_t>(width) * 3;
  Pixels out{width, height, std::vector<std::uint8_t>(out_stride * static_cast<std::size_t>(height))};
  std::vector<std::int32_t> sum(in_stride);
  std::vector<std::uint8_t> line(in_stride);
  for (std::size_t y = 0; y < static_cast<std::size_t>(height); ++y) {
    std::fill(sum.begin(), sum.end(), 1 << (kBits - 1));
    const std::int32_t* weight = down.weight.data() + y * static_cast<std::size_t>(down.widest);
    const std::uint8_t* row = image.data.data() + static_cast<std::size_t>(down.first[y]) * in_stride;
    int k = 0;
    for (; k + 1 < down.count[y]; k += 2, row += 2 * in_stride) {
      add_two_rows(sum.data(), row, weight[k], row + in_stride, weight[k + 1], in_stride);
    }
    if (k < down.count[y]) add_row(sum.data(), row, weight[k], in_stride);
    round_row(sum.data(), line.data(), in_stride);
    weigh_columns(line.data(), across, width, out.data.data() + y * out_stride);
  }
  return out;
}

Pixels turn_upright(Pixels image, int orientation) {
  if (orientation <= 1 || orientation > 8) return image;
  const bool transpose = orientation >= 5;
  const int width = transpose ? image.height : image.width, height = transpose ? image.width : image.height;
  // Which source pixel lies at (x, y): the axes are exchanged for 5..8, then each may run backwards.
  const bool flip_x = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool flip_y = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  Pixels out{width, height, std::vector<std::uint8_t>(image.data.size())};
  std::uint8_t* to = out.data.data();
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x, to += 3) {
      int sx = transpose ? y : x, sy = transpose ? x : y;
      if (flip_x) sx = image.width - 1 - sx;
      if (flip_y) sy = image.height - 1 - sy;
      const std::uint8_t* from = image.data.data() + (static_cast<std::size_t>(sy) * static_cast<std::size_t>(image.width) +
                                                      static_cast<std::size_t>(sx)) * 3;
      to[0] = from[0];
      to[1] = from[1];
      to[2] = from[2];
    }
  }
  return out;
}

}  // namespace rescale_fast
