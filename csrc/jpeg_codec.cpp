#include "jpeg_codec.h"

#include <cstdlib>
#include <memory>
#include <string>

#include "jpeg_errors.h"

namespace rescale_fast {
namespace {

// The functions between setjmp and longjmp own nothing that needs a destructor.
bool start_decoding(jpeg_decompress_struct& codec, JpegErrors& errors, const std::uint8_t* data, std::size_t size,
                    int eighths) {
  if (setjmp(errors.escape)) return false;
  jpeg_mem_src(&codec, data, static_cast<unsigned long>(size));
  jpeg_read_header(&codec, TRUE);
  codec.scale_num = static_cast<unsigned>(eighths);
  codec.scale_denom = 8;
  codec.out_color_space = JCS_RGB;
  codec.dct_method = JDCT_ISLOW;
  jpeg_start_decompress(&codec);
  return true;
}

bool finish_decoding(jpeg_decompress_struct& codec, JpegErrors& errors, std::uint8_t* out) {
  if (setjmp(errors.escape)) return false;
  const std::size_t stride = std::size_t{codec.output_width} * 3;
  JSAMPROW rows[8];
  while (codec.output_scanline < codec.output_height) {
    for (unsigned i = 0; i < 8; ++i) {
      // Rows below the image are never written: the count given is the number left.
      rows[i] = out + stride * std::size_t{codec.output_scanline + i};
    }
    const unsigned left = codec.output_height - codec.output_scanline;
    jpeg_read_scanlines(&codec, rows, left < 8 ? left : 8);
  }
  jpeg_finish_decompress(&codec);
  return true;
}

bool encode(jpeg_compress_struct& codec, JpegErrors& errors, const Pixels& image, int quality, unsigned char** buffer,
            unsigned long* size) {
  if (setjmp(errors.escape)) return false;
  jpeg_create_compress(&codec);
  jpeg_mem_dest(&codec, buffer, size);
  codec.image_width = static_cast<unsigned>(image.width);
  codec.image_height = static_cast<unsigned>(image.height);
  codec.input_components = 3;
  codec.in_color_space = JCS_RGB;
  jpeg_set_defaults(&codec);
  jpeg_set_quality(&codec, quality, TRUE);
  jpeg_start_compress(&codec, TRUE);
  const std::size_t stride = static_cast<std::size_t>(image.width) * 3;
  while (codec.next_scanline < codec.image_height) {
    JSAMPROW row = const_cast<JSAMPROW>(image.data.data() + stride * std::size_t{codec.next_scanline});
    jpeg_write_scanlines(&codec, &row, 1);
  }
  jpeg_finish_compress(&codec);
  return true;
}

}  // namespace

void decode_jpeg(const std::uint8_t* data, std::size_t size, int eighths, bool strict, Pixels& out) {
  JpegErrors errors;
  jpeg_progress_mgr progress{};
  progress.progress_monitor = on_progress;
  jpeg_decompress_struct codec{};
  codec.err = prepare(errors, strict);
  jpeg_create_decompress(&codec);
  codec.progress = &progress;
  const auto destroy = [](jpeg_decompress_struct* one) { jpeg_destroy_decompress(one); };
  const std::unique_ptr<jpeg_decompress_struct, decltype(destroy)> owner(&codec, destroy);
  if (!start_decoding(codec, errors, data, size, eighths)) throw ImageError(errors.text);
  if (codec.output_components != 3) throw ImageError("not an RGB or grey JPEG");
  out.width = static_cast<int>(codec.output_width);
  out.height = static_cast<int>(codec.output_height);
  out.data.resize(std::size_t{codec.output_width} * codec.output_height * 3);
  if (!finish_decoding(codec, errors, out.data.data())) throw ImageError(errors.text);
}

std::vector<std::uint8_t> encode_jpeg(const Pixels& image, int quality) {
  JpegErrors errors;
  jpeg_compress_struct codec{};
  codec.err = prepare(errors, false);
  unsigned char* buffer = nullptr;
  unsigned long size = 0;
  const bool fine = encode(codec, errors, image, quality, &buffer, &size);
  jpeg_destroy_compress(&codec);
  const std::unique_ptr<unsigned char, decltype(&std::free)> owner(buffer, &std::free);
  if (!fine) throw ImageError(errors.text);
  return std::vector<std::uint8_t>(buffer, buffer + size);
}

}  // namespace rescale_fast
