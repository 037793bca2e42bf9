#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "core/array.h"
#include "image/resample.h"
#include "random_bytes.h"

using namespace rescale_fast;

namespace {

constexpr double kPi = 3.14159265358979323846;
constexpr Filter kFilters[] = {Filter::box, Filter::bilinear, Filter::hamming, Filter::bicubic, Filter::lanczos};

double sinc(double x) { return x == 0 ? 1 : std::sin(kPi * x) / (kPi * x); }

double reach_of(Filter filter) {
  switch (filter) {
    case Filter::bicubic:
      return 2;
    case Filter::lanczos:
      return 3;
    case Filter::bilinear:
    case Filter::hamming:
      return 1;
    default:
      return 0.5;
  }
}

// From the definitions of the filters, not from Pillow's arithmetic.
double kernel(Filter filter, double x) {
  const double t = std::abs(x);
  switch (filter) {
    case Filter::bilinear:
      return std::max(0.0, 1 - t);
    case Filter::hamming:
      return t < 1 ? sinc(t) * (0.54 + 0.46 * std::cos(kPi * t)) : 0;
    case Filter::bicubic:
      if (t < 1) return 1.5 * t * t * t - 2.5 * t * t + 1;
      return t < 2 ? -0.5 * t * t * t + 2.5 * t * t - 4 * t + 2 : 0;
    case Filter::lanczos:
      return t < 3 ? sinc(t) * sinc(t / 3) : 0;
    default:
      return x > -0.5 && x <= 0.5 ? 1 : 0;
  }
}

// The weights, over all of `in` samples, of output sample i of `out` that cover [begin, end).
Array<double> weights(Filter filter, int in, double begin, double end, int out, int i) {
  const double scale = (end - begin) / out, stretch = std::max(scale, 1.0), centre = begin + (i + 0.5) * scale;
  const double reach = reach_of(filter) * stretch;
  Array<double> row(in, 0);
  double sum = 0;
  for (int k = 0; k < in; ++k) {
    if (k < std::floor(centre - reach + 0.5) || k >= std::floor(centre + reach + 0.5)) continue;
    sum += row[k] = kernel(filter, (k + 0.5 - centre) / stretch);
  }
  for (double& weight : row) weight /= sum;
  return row;
}

struct Size {
  int width, height;
};

double sample(const Array<std::uint8_t>& image, Size size, int channels, int c, const Array<double>& across,
              const Array<double>& down) {
  double sum = 0;
  for (int y = 0; y < size.height; ++y) {
    for (int x = 0; x < size.width; ++x) {
      const auto at = (y * size.width + x) * channels + c;
      sum += across[x] * down[y] * image[at];
    }
  }
  return sum;
}

}  // namespace

TEST_CASE("weights of a row lie within the line, add up to one, and are zero behind the row's end") {
  for (const Filter filter : kFilters) {
    for (const int in : {1, 2, 3, 17, 100}) {
      for (const int out : {1, 2, 5, 33, 150}) {
        const Taps taps = make_taps(filter, in, 0, static_cast<float>(in), out, 1);
        for (std::int64_t i = 0; i < out; ++i) {
          CHECK(taps.first[i] >= 0);
          CHECK(taps.count[i] >= 1);
          CHECK(taps.first[i] + taps.count[i] <= in);
          CHECK(taps.widest % kTaps == 0);
          std::int64_t sum = 0;
          for (std::int64_t k = 0; k < taps.widest; ++k) {
            const std::int64_t at = i * taps.widest + k;
            const std::int64_t weight = taps.high[at] * (1 << kLowBits) + taps.low[at];
            if (k >= taps.count[i]) CHECK(weight == 0);
            sum += weight;
          }
          CHECK(std::abs(sum - (1 << kWeightBits)) <= taps.count[i]);
        }
      }
    }
  }
}

TEST_CASE("every pixel is the weighted sum that the filter's definition gives, but for two roundings") {
  for (const Filter filter : kFilters) {
    for (const int channels : {1, 3}) {
      for (const Size from : {Size{23, 17}, Size{9, 40}, Size{64, 5}}) {
        for (const Size to : {Size{8, 8}, Size{31, 11}, Size{1, 50}}) {
          auto image = random_bytes(std::int64_t{from.width} * from.height * channels, 1);
          for (std::uint8_t& value : image) value = static_cast<std::uint8_t>(100 + value / 5);  // nothing is cut off
          const Part part{1.25F, 0.5F, static_cast<float>(from.width), static_cast<float>(from.height) - 1.5F};
          Array<std::uint8_t> got;
          Resampler(filter).resize(image.data(), from.width, from.height, channels, 1, part, to.width, to.height, got);
          double worst = 0;
          for (int y = 0; y < to.height; ++y) {
            const auto down = weights(filter, from.height, part.top, part.bottom, to.height, y);
            for (int x = 0; x < to.width; ++x) {
              const auto across = weights(filter, from.width, part.left, part.right, to.width, x);
              for (int c = 0; c < channels; ++c) {
                const double exact = sample(image, from, channels, c, across, down);
                const auto at = (y * to.width + x) * channels + c;
                worst = std::max(worst, std::abs(exact - got[at]));
              }
            }
          }
          CHECK(worst <= (reach_of(filter) > 1 ? 1.3 : 1.01));  // negative weights make more of the first
        }
      }
    }
  }
}

TEST_CASE("flat images stay flat, at every size") {
  for (const Filter filter : kFilters) {
    Resampler resampler(filter);
    for (int in = 1; in <= 40; in += 3) {
      for (int out = 1; out <= 40; out += 4) {
        const Array<std::uint8_t> flat(std::int64_t{3} * in * in, 201);
        Array<std::uint8_t> got;
        const auto side = static_cast<float>(in);
        resampler.resize(flat.data(), in, in, 3, 1, {0, 0, side, side}, out, out, got);
        CHECK(std::count(got.begin(), got.end(), 201) == out * out * 3);
      }
    }
  }
}

TEST_CASE("columns and pixels do not depend on how many there are beside them") {
  // A row of n pixels is weighed in groups, with what is left over one by one; so is a column of it.
  const auto image = random_bytes(std::int64_t{45} * 9, 2);
  for (const Filter filter : kFilters) {
    Resampler resampler(filter);
    Array<std::uint8_t> all, one;
    resampler.resize(image.data(), 45, 9, 1, 1, {0, 0, 45, 9}, 45, 4, all);
    for (std::int64_t x = 0; x < 45; ++x) {
      Array<std::uint8_t> column(9);
      for (std::int64_t y = 0; y < 9; ++y) column[y] = image[y * 45 + x];
      resampler.resize(column.data(), 1, 9, 1, 1, {0, 0, 1, 9}, 1, 4, one);
      for (std::int64_t y = 0; y < 4; ++y) CHECK(one[y] == all[y * 45 + x]);
    }
  }
}
