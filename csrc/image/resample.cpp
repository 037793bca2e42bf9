// The method of Pillow's 8-bit resampling: a horizontal and a vertical pass, each of which rounds to 8 bits.
#include "image/resample.h"

#include <algorithm>

#include "image/weigh.h"

namespace rescale_fast {
namespace {

constexpr std::size_t kMaxTables = 64;

// Which input sample each output sample repeats; positions are summed up one by one, as Pillow does.
Array<std::int64_t> nearest_samples(float begin, float end, int out) {
  const double step = static_cast<double>(end - begin) / out;
  Array<std::int64_t> samples(out);
  double at = begin + step * 0.5;
  for (std::int64_t& sample : samples) {
    sample = static_cast<std::int64_t>(at);
    at += step;
  }
  return samples;
}

void pick_nearest(const std::uint8_t* image, std::int64_t row_bytes, std::int64_t channels, const Part& part,
                  int out_width, int out_height, std::uint8_t* out) {
  const Array<std::int64_t> columns = nearest_samples(part.left, part.right, out_width);
  for (const std::int64_t y : nearest_samples(part.top, part.bottom, out_height)) {
    for (const std::int64_t x : columns) {
      out = std::copy_n(image + y * row_bytes + x * channels, channels, out);
    }
  }
}

}  // namespace

const Taps& Resampler::taps(int in, float begin, float end, int out, int group) {
  const Key key{in, begin, end, out, group};
  const auto found = taps_.find(key);
  if (found != taps_.end()) return found->second;
  return taps_.emplace(key, make_taps(filter_, in, begin, end, out, group)).first->second;
}

void Resampler::resize(const std::uint8_t* image, int width, int height, int channels, int group, const Part& part,
                       int out_width, int out_height, Array<std::uint8_t>& out) {
  const std::int64_t depth = channels, out_row = out_width * depth, in_row = (width + group - 1) / group * depth;
  out.resize(out_row * out_height);
  if (filter_ == Filter::nearest) {
    pick_nearest(image, in_row, depth, part, out_width, out_height, out.data());
    return;
  }
  if (taps_.size() > kMaxTables) taps_.clear();
  const Taps& across = taps(width, part.left, part.right, out_width, group);
  const Taps& down = taps(height, part.top, part.bottom, out_height, group);
  // As Pillow does from version 13 on; versions before never go down first.
  if (height - out_height > std::max(0, 2 * (width - out_width))) {
    line_.resize(in_row + kBehind);
    for (std::int64_t y = 0; y < out_height; ++y) {
      weigh_down(image + down.first[y] * in_row, in_row, in_row, down, y, line_.data());
      weigh_across(line_.data(), depth, across, out.data() + y * out_row);
    }
    return;
  }
  const int first = down.first.front(), rows = down.first.back() + down.count.back() - first;
  line_.resize(in_row + kBehind);
  middle_.resize(out_row * rows);
  for (std::int64_t y = 0; y < rows; ++y) {
    std::copy_n(image + (first + y) * in_row, in_row, line_.data());
    weigh_across(line_.data(), depth, across, middle_.data() + y * out_row);
  }
  for (std::int64_t y = 0; y < out_height; ++y) {
    const std::uint8_t* row = middle_.data() + (down.first[y] - first) * out_row;
    weigh_down(row, out_row, out_row, down, y, out.data() + y * out_row);
  }
}

}  // namespace rescale_fast
