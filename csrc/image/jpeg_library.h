// libjpeg-turbo, made safe to call: what it allocates is freed whatever happens, and its errors become ImageError.
// Only image/jpeg_*.cpp include this.
#pragma once

#include <csetjmp>
#include <cstddef>
#include <cstdint>
#include <cstdio>  // jpeglib.h needs it
#include <memory>
#include <vector>

#include <jpeglib.h>

#include "image/jpeg_codec.h"

namespace rescale_fast {

// libjpeg reports an error by not returning: it jumps out of its own functions, to where run() was called.
class JpegErrors {
 public:
  explicit JpegErrors(bool strict);  // strict: a warning is an error
  JpegErrors(const JpegErrors&) = delete;
  JpegErrors& operator=(const JpegErrors&) = delete;

  void watch(jpeg_decompress_struct& codec);
  void watch(jpeg_compress_struct& codec);

  // Calls body, which calls libjpeg. A jump passes no destructor, so what body makes itself must not need one.
  template <typename Body>
  void run(const Body& body) {
    if (setjmp(escape_)) throw ImageError(text_);
    body();
  }

 private:
  static void on_error(j_common_ptr codec);
  static void on_message(j_common_ptr codec, int level);
  static void on_progress(j_common_ptr codec);

  jpeg_error_mgr base_;
  jpeg_progress_mgr progress_{};
  std::jmp_buf escape_;
  char text_[JMSG_LENGTH_MAX] = {};
  const bool strict_;
};

class Decompressor {
 public:
  explicit Decompressor(bool strict);  // ImageError when the library is not the one of the header

  // A decoder that reads many images keeps the tables of one for the next, which may come without: JPEGs cut from films
  // do. This makes one that has only unusable tables, so that it reads no image that needs another's.
  void spoil_tables();

  // Reads the header of a JPEG and starts to decode at eighths/8 of its size: to RGB, or, with `planes`, to
  // what the file holds, by jpeg_read_raw_data. `data` is read until the last row has been.
  void start(const std::uint8_t* data, std::size_t size, int eighths, bool planes);

  template <typename Body>
  void run(const Body& body) {
    errors_.run(body);
  }
  jpeg_decompress_struct& codec() { return codec_; }

 private:
  JpegErrors errors_;
  jpeg_decompress_struct codec_{};
  const std::unique_ptr<jpeg_decompress_struct, decltype(&jpeg_destroy_decompress)> owner_{&codec_,
                                                                                           &jpeg_destroy_decompress};
};

class Compressor {
 public:
  Compressor();

  // Starts a baseline 4:2:0 JPEG of rows in these colours (JCS_RGB; with `planes` JCS_YCbCr, by jpeg_write_raw_data).
  void start(int width, int height, int quality, bool planes);

  template <typename Body>
  void run(const Body& body) {
    errors_.run(body);
  }
  jpeg_compress_struct& codec() { return codec_; }

  std::vector<std::uint8_t> finish();  // the file

 private:
  // Not jpeg_mem_dest: what that has allocated cannot be found, and so not freed, after an error.
  struct Target : jpeg_destination_mgr {
    std::vector<std::uint8_t> bytes;
  };
  static void make_room(j_compress_ptr codec);
  static boolean on_full(j_compress_ptr codec);
  static void on_end(j_compress_ptr codec);

  JpegErrors errors_;
  Target target_;
  jpeg_compress_struct codec_{};
  const std::unique_ptr<jpeg_compress_struct, decltype(&jpeg_destroy_compress)> owner_{&codec_, &jpeg_destroy_compress};
};

// The size that a block of 8 x 8 samples is decoded to. libjpeg-turbo is built with one of two ABIs, which name it
// differently: libjpeg 6b's (Debian) and libjpeg 8's (Ubuntu).
#if JPEG_LIB_VERSION >= 70
inline int block_width(const jpeg_component_info& component) { return component.DCT_h_scaled_size; }
inline int block_height(const jpeg_component_info& component) { return component.DCT_v_scaled_size; }
inline int least_block_height(const jpeg_decompress_struct& codec) { return codec.min_DCT_v_scaled_size; }
#else
inline int block_width(const jpeg_component_info& component) { return component.DCT_scaled_size; }
inline int block_height(const jpeg_component_info& component) { return component.DCT_scaled_size; }
inline int least_block_height(const jpeg_decompress_struct& codec) { return codec.min_DCT_scaled_size; }
#endif

}  // namespace rescale_fast
