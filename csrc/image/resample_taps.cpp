// As Pillow computes them: in doubles, in this order of operations, normalised, and rounded to fixed point.
#include "image/resample_taps.h"

#include <algorithm>
#include <cmath>

namespace rescale_fast {
namespace {

constexpr double kPi = 3.14159265358979323846;

double sinc(double x) { return x == 0 ? 1.0 : std::sin(x * kPi) / (x * kPi); }

double support(Filter filter) {
  switch (filter) {
    case Filter::bilinear:
    case Filter::hamming:
      return 1.0;
    case Filter::bicubic:
      return 2.0;
    case Filter::lanczos:
      return 3.0;
    case Filter::nearest:
    case Filter::box:
      break;
  }
  return 0.5;
}

double weight_at(Filter filter, double x) {
  const double away = std::abs(x);
  switch (filter) {
    case Filter::bilinear:
      return away < 1 ? 1 - away : 0;
    case Filter::hamming:  // Pillow's constants are floats
      return away < 1 ? sinc(away) * (0.54f + 0.46f * std::cos(away * kPi)) : 0;
    case Filter::bicubic:  // a = -0.5
      if (away < 1) return (1.5 * away - 2.5) * away * away + 1;
      return away < 2 ? (((away - 5) * away + 8) * away - 4) * -0.5 : 0;
    case Filter::lanczos:
      return x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0;
    case Filter::nearest:
    case Filter::box:
      break;
  }
  return x > -0.5 && x <= 0.5 ? 1 : 0;
}

// The weights of neighbouring samples, the first of which has the number `first`.
struct Row {
  int first;
  Array<double> weights;
};

// The same sum when only the averages of each `group` samples are known: a sample between them is taken from the
// parabola that has the averages of its cell and the two beside it, as finite-volume methods do.
Row over_averages(const Row& row, int in, int group) {
  const int last = (in + group - 1) / group - 1;
  const auto cell = [&](std::int64_t k) { return (row.first + static_cast<int>(k)) / group; };
  Row averages{std::max(cell(0) - 1, 0), {}};
  const int end = std::min(cell(row.weights.size() - 1) + 1, last);
  averages.weights.resize(end - averages.first + 1);
  const auto add = [&](int at, double weight) { averages.weights[std::clamp(at, 0, last) - averages.first] += weight; };
  for (std::int64_t k = 0; k < row.weights.size(); ++k) {
    const int at = cell(k);
    const int within = row.first + static_cast<int>(k) - at * group;
    const double t = (within + 0.5) / group - 0.5;  // cells, from the middle of this one
    add(at - 1, row.weights[k] * (t * t / 2 - t / 2 - 1.0 / 24));
    add(at, row.weights[k] * (13.0 / 12 - t * t));
    add(at + 1, row.weights[k] * (t * t / 2 + t / 2 - 1.0 / 24));
  }
  return averages;
}

// What output sample i is made of, when each is `scale` wide and the first starts at `begin`. The weights add up to 1.
Row exact_row(Filter filter, int in, double begin, double scale, int i) {
  const double stretch = std::max(scale, 1.0);
  const double reach = support(filter) * stretch, step = 1.0 / stretch, centre = begin + (i + 0.5) * scale;
  const int first = std::clamp(static_cast<int>(centre - reach + 0.5), 0, in - 1);
  const int last = std::clamp(static_cast<int>(centre + reach + 0.5), first + 1, in);
  Row row{first, Array<double>(last - first)};
  double sum = 0;
  for (std::int64_t k = 0; k < row.weights.size(); ++k) {
    row.weights[k] = weight_at(filter, (static_cast<int>(k) + first - centre + 0.5) * step);
    sum += row.weights[k];
  }
  for (double& weight : row.weights) weight /= sum != 0 ? sum : 1.0;
  return row;
}

Taps empty_taps(Filter filter, int out, double scale, bool coarse) {
  Taps taps;
  const double reach = support(filter) * std::max(scale, 1.0);
  const std::int64_t outputs = out, most = 2 * std::lround(std::ceil(reach)) + 3;
  taps.widest = (most + kTaps - 1) / kTaps * kTaps;
  taps.first.resize(outputs);
  taps.count.resize(outputs);
  taps.high.assign(outputs * taps.widest, 0);
  if (!coarse) taps.low.assign(outputs * taps.widest, 0);
  return taps;
}

}  // namespace

Taps make_taps(Filter filter, int in, float begin, float end, int out, int group) {
  const double scale = static_cast<double>(end - begin) / out;
  Taps taps = empty_taps(filter, out, scale, false);
  for (std::int64_t i = 0; i < taps.first.size(); ++i) {
    Row row = exact_row(filter, in, begin, scale, static_cast<int>(i));
    if (group > 1) row = over_averages(row, in, group);
    taps.first[i] = row.first;
    taps.count[i] = static_cast<int>(row.weights.size());
    for (std::int64_t k = 0; k < row.weights.size(); ++k) {
      const double weight = row.weights[k] * (1 << kWeightBits);
      const auto fixed = static_cast<std::int32_t>(weight < 0 ? weight - 0.5 : weight + 0.5);
      taps.high[i * taps.widest + k] = static_cast<std::int16_t>(fixed >> kLowBits);
      taps.low[i * taps.widest + k] = static_cast<std::int16_t>(fixed & ((1 << kLowBits) - 1));
    }
  }
  return taps;
}

Taps make_coarse_taps(int in, int out, double step) {
  Taps taps = empty_taps(Filter::bilinear, out, step, true);
  for (std::int64_t i = 0; i < taps.first.size(); ++i) {
    const Row row = exact_row(Filter::bilinear, in, 0, step, static_cast<int>(i));
    taps.first[i] = row.first;
    taps.count[i] = static_cast<int>(row.weights.size());
    std::int16_t* fixed = taps.high.data() + i * taps.widest;
    int left = 1 << kCoarseBits;
    for (std::int64_t k = 0; k < row.weights.size(); ++k) {
      fixed[k] = static_cast<std::int16_t>(std::lround(row.weights[k] * (1 << kCoarseBits)));
      left -= fixed[k];
    }
    // The sum is exact, so a flat image stays flat and nothing overflows.
    std::int16_t& largest = *std::max_element(fixed, fixed + row.weights.size());
    largest = static_cast<std::int16_t>(largest + left);
  }
  return taps;
}

}  // namespace rescale_fast
