#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "core/array.h"
#include "image/resample_taps.h"
#include "image/resize.h"
#include "random_bytes.h"

using namespace rescale_fast;

namespace {

// A triangle as wide as the reduction, over the samples that there are.
Array<double> triangle(int in, double step, int i) {
  const double reach = std::max(step, 1.0), centre = (i + 0.5) * step;
  Array<double> row(in);
  double sum = 0;
  for (int k = 0; k < in; ++k) {
    sum += row[k] = std::max(0.0, 1 - std::abs(k + 0.5 - centre) / reach);
  }
  for (double& weight : row) weight /= sum;
  return row;
}

}  // namespace

TEST_CASE("planes that are covered in part are weighed by a triangle as wide as the reduction") {
  struct Case {
    int width, height, to_width, to_height;
    double across, down;
  };
  for (const Case one : {Case{128, 96, 32, 24, 127.5, 96}, Case{33, 65, 40, 7, 33, 64.5}, Case{19, 5, 3, 5, 18.5, 5}}) {
    auto samples = random_bytes(std::int64_t{one.width} * one.height, 3);
    Array<std::uint8_t> got(std::int64_t{one.to_width} * one.to_height);
    resize_plane({samples.data(), one.width, one.width, one.height, one.across, one.down},
                 {got.data(), one.to_width, one.to_width, one.to_height, static_cast<double>(one.to_width),
                  static_cast<double>(one.to_height)});
    double worst = 0;
    for (int y = 0; y < one.to_height; ++y) {
      const auto down = triangle(one.height, one.down / one.to_height, y);
      for (int x = 0; x < one.to_width; ++x) {
        const auto across = triangle(one.width, one.across / one.to_width, x);
        double exact = 0;
        for (std::int64_t j = 0; j < down.size(); ++j) {
          for (std::int64_t i = 0; i < across.size(); ++i) {
            exact += down[j] * across[i] * samples[j * one.width + i];
          }
        }
        worst = std::max(worst, std::abs(exact - got[y * one.to_width + x]));
      }
    }
    CHECK(worst <= 1.1);
  }
}

TEST_CASE("coarse weights of a row add up to one exactly, where the row is no part of the line, too") {
  for (const int in : {1, 2, 3, 17, 100}) {
    for (const int out : {1, 2, 5, 33, 150}) {
      for (const double covered : {in - 0.5, in + 0.0, in + 7.0}) {
        const Taps taps = make_coarse_taps(in, out, covered / out);
        CHECK(taps.low.empty());
        for (std::int64_t i = 0; i < out; ++i) {
          CHECK(taps.first[i] >= 0);
          CHECK(taps.count[i] >= 1);
          CHECK(taps.first[i] + taps.count[i] <= in);
          int sum = 0;
          for (std::int64_t k = 0; k < taps.widest; ++k) sum += taps.high[i * taps.widest + k];
          CHECK(sum == 1 << kCoarseBits);
        }
      }
    }
  }
}

TEST_CASE("each EXIF orientation turns the picture that it names upright") {
  // The upright picture is 1 2 3 over 4 5 6; how a camera stores it, by orientation.
  const Array<Array<int>> stored{{1, 2, 3, 4, 5, 6}, {3, 2, 1, 6, 5, 4}, {6, 5, 4, 3, 2, 1}, {4, 5, 6, 1, 2, 3},
                                 {1, 4, 2, 5, 3, 6}, {3, 6, 2, 5, 1, 4}, {6, 3, 5, 2, 4, 1}, {4, 1, 5, 2, 6, 3}};
  for (int orientation = 1; orientation <= 8; ++orientation) {
    Pixels image{orientation >= 5 ? 2 : 3, orientation >= 5 ? 3 : 2, {}};
    for (const int value : stored[orientation - 1]) {
      for (int c = 0; c < 3; ++c) image.data.push_back(static_cast<std::uint8_t>(10 * value + c));
    }
    const Pixels upright = turn_upright(image, orientation);
    CHECK(upright.width == 3);
    CHECK(upright.height == 2);
    for (int i = 0; i < 18; ++i) CHECK(upright.data.data()[i] == 10 * (i / 3 + 1) + i % 3);
  }
}
