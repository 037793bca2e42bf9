#include "image/jpeg_codec.h"

#include "image/jpeg_header.h"
#include "image/jpeg_library.h"

namespace rescale_fast {

namespace {

void read_pixels(Decompressor& decompressor, Pixels& out) {
  jpeg_decompress_struct& codec = decompressor.codec();
  if (codec.output_components != 3) throw ImageError("not an RGB or grey JPEG");
  out.width = static_cast<int>(codec.output_width);
  out.height = static_cast<int>(codec.output_height);
  const std::size_t stride = std::size_t{codec.output_width} * 3;
  out.data.resize(stride * codec.output_height);
  decompressor.run([&] {
    JSAMPROW rows[8];
    while (codec.output_scanline < codec.output_height) {
      const unsigned left = codec.output_height - codec.output_scanline, count = left < 8 ? left : 8;
      for (unsigned i = 0; i < count; ++i) rows[i] = out.data.data() + stride * std::size_t{codec.output_scanline + i};
      jpeg_read_scanlines(&codec, rows, count);
    }
    jpeg_finish_decompress(&codec);
  });
}

}  // namespace

void decode_jpeg(const std::uint8_t* data, std::size_t size, int eighths, bool strict, Pixels& out) {
  Decompressor decompressor(strict);
  decompressor.start(data, size, eighths, false);
  read_pixels(decompressor, out);
}

bool is_decodable(const std::uint8_t* data, std::size_t size) {
  const std::vector<std::uint8_t> small = without_image_data(data, size);
  try {
    Decompressor decompressor(false);
    decompressor.spoil_tables();
    decompressor.start(small.data(), small.size(), 8, false);
    Pixels pixels;
    read_pixels(decompressor, pixels);
  } catch (const ImageError&) {
    return false;
  }
  return true;
}

std::vector<std::uint8_t> encode_jpeg(const Pixels& image, int quality) {
  Compressor compressor;
  compressor.start(image.width, image.height, quality, false);
  jpeg_compress_struct& codec = compressor.codec();
  const std::size_t stride = static_cast<std::size_t>(image.width) * 3;
  compressor.run([&] {
    while (codec.next_scanline < codec.image_height) {
      JSAMPROW row = const_cast<JSAMPROW>(image.data.data() + stride * std::size_t{codec.next_scanline});
      jpeg_write_scanlines(&codec, &row, 1);
    }
  });
  return compressor.finish();
}

}  // namespace rescale_fast
