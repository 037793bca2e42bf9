#include "image/jpeg_planes.h"

#include <algorithm>

#include "core/array.h"
#include "image/jpeg_library.h"
#include "image/resize.h"

namespace rescale_fast {
namespace {

constexpr std::int64_t kMcu = 16;  // pixels of a side that a 4:2:0 JPEG encodes at once
constexpr int kMaxRows = 64;       // of a plane that a decoder gives at once: 4 blocks of 16

struct Planes {
  Array<std::uint8_t> samples[3];
  Plane planes[3] = {};
  int count = 0;  // 1 or 3; 0 when the JPEG has other colours
};

Plane make_plane(Array<std::uint8_t>& samples, std::int64_t stride, std::int64_t rows) {
  samples.assign(stride * rows, 128);  // a grey image has neutral colours
  return {samples.data(), stride, 0, 0, 0, 0};
}

// Rows of a component that the decoder gives at once.
std::int64_t band_rows(const jpeg_component_info& component) {
  return std::int64_t{component.v_samp_factor} * block_height(component);
}

// Memory for what the decoder will give: whole blocks, of as many bands as there are.
Planes planes_for(const jpeg_decompress_struct& codec) {
  Planes planes;
  const bool grey = codec.jpeg_color_space == JCS_GRAYSCALE && codec.num_components == 1;
  const bool colour = codec.jpeg_color_space == JCS_YCbCr && codec.num_components == 3;
  if (!grey && !colour) return planes;
  planes.count = grey ? 1 : 3;
  const double image_width = codec.image_width, image_height = codec.image_height;
  for (int c = 0; c < planes.count; ++c) {
    const jpeg_component_info& component = codec.comp_info[c];
    const std::int64_t stride = std::int64_t{component.width_in_blocks} * block_width(component);
    Plane& plane = planes.planes[c];
    plane = make_plane(planes.samples[c], stride, codec.total_iMCU_rows * band_rows(component));
    plane.width = static_cast<int>(component.downsampled_width);
    plane.height = static_cast<int>(component.downsampled_height);
    plane.across = image_width * block_width(component) / 8 * component.h_samp_factor / codec.max_h_samp_factor;
    plane.down = image_height * block_height(component) / 8 * component.v_samp_factor / codec.max_v_samp_factor;
  }
  return planes;
}

Planes decode(const std::uint8_t* data, std::size_t size, int eighths) {
  Decompressor decompressor(false);
  decompressor.start(data, size, eighths, true);
  jpeg_decompress_struct& codec = decompressor.codec();
  Planes planes = planes_for(codec);
  if (planes.count == 0) return planes;
  decompressor.run([&] {
    JSAMPROW rows[3][kMaxRows];
    JSAMPARRAY arrays[3] = {rows[0], rows[1], rows[2]};
    const auto lines = static_cast<unsigned>(codec.max_v_samp_factor * least_block_height(codec));
    for (std::int64_t band = 0; codec.output_scanline < codec.output_height; ++band) {
      for (int c = 0; c < planes.count; ++c) {
        const std::int64_t high = band_rows(codec.comp_info[c]);
        const Plane& plane = planes.planes[c];
        for (std::int64_t i = 0; i < high; ++i) rows[c][i] = plane.data + (band * high + i) * plane.stride;
      }
      jpeg_read_raw_data(&codec, arrays, lines);
    }
    jpeg_finish_decompress(&codec);
  });
  return planes;
}

// Repeats the last column and row up to the end of the memory, for the encoder takes whole blocks.
void extend(const Plane& plane, std::int64_t rows) {
  for (std::int64_t y = 0; y < rows; ++y) {
    std::uint8_t* row = plane.data + y * plane.stride;
    const auto height = plane.height, width = plane.width;
    if (y >= height) std::copy_n(plane.data + (height - 1) * plane.stride, plane.stride, row);
    std::fill(row + width, row + plane.stride, row[width - 1]);
  }
}

Planes resized(const Planes& from, int width, int height) {
  Planes to;
  to.count = 3;
  for (int c = 0; c < 3; ++c) {
    const int part = c == 0 ? 1 : 2;
    const std::int64_t mcu = kMcu / part;
    const std::int64_t stride = (width + kMcu - 1) / kMcu * mcu;
    const std::int64_t rows = (height + kMcu - 1) / kMcu * mcu;
    Plane& plane = to.planes[c];
    plane = make_plane(to.samples[c], stride, rows);
    plane.width = (width + part - 1) / part;
    plane.height = (height + part - 1) / part;
    plane.across = static_cast<double>(width) / part;
    plane.down = static_cast<double>(height) / part;
    if (c < from.count) {
      resize_plane(from.planes[c], plane);
      extend(plane, rows);
    }
  }
  return to;
}

std::vector<std::uint8_t> encode(const Planes& planes, int width, int height, int quality) {
  Compressor compressor;
  compressor.start(width, height, quality, true);
  jpeg_compress_struct& codec = compressor.codec();
  compressor.run([&] {
    JSAMPROW rows[3][kMcu];
    JSAMPARRAY arrays[3] = {rows[0], rows[1], rows[2]};
    for (std::int64_t band = 0; codec.next_scanline < codec.image_height; ++band) {
      for (int c = 0; c < 3; ++c) {
        const std::int64_t high = c == 0 ? kMcu : kMcu / 2;
        const Plane& plane = planes.planes[c];
        for (std::int64_t i = 0; i < high; ++i) rows[c][i] = plane.data + (band * high + i) * plane.stride;
      }
      jpeg_write_raw_data(&codec, arrays, static_cast<unsigned>(kMcu));
    }
  });
  return compressor.finish();
}

}  // namespace

std::vector<std::uint8_t> resize_jpeg(const std::uint8_t* data, std::size_t size, int eighths, int width, int height,
                                      int quality) {
  const Planes decoded = decode(data, size, eighths);
  if (decoded.count == 0) return {};
  return encode(resized(decoded, width, height), width, height, quality);
}

}  // namespace rescale_fast
