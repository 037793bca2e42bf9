// How libjpeg reports errors to us: it jumps back to where the codec was called. Only jpeg_*.cpp include this.
#pragma once

#include <csetjmp>
#include <cstddef>
#include <cstdio>

#include <jpeglib.h>

namespace rescale_fast {

constexpr int kMaxScans = 1000;  // more are an attack: each is a pass over the whole image

struct JpegErrors {
  jpeg_error_mgr base;
  std::jmp_buf escape;
  char text[JMSG_LENGTH_MAX];
  bool strict;
};

inline void on_error(j_common_ptr codec) {
  auto* errors = reinterpret_cast<JpegErrors*>(codec->err);
  codec->err->format_message(codec, errors->text);
  std::longjmp(errors->escape, 1);
}

inline void on_message(j_common_ptr codec, int level) {
  if (level >= 0) return;  // not a warning
  ++codec->err->num_warnings;
  if (reinterpret_cast<JpegErrors*>(codec->err)->strict) on_error(codec);
}

inline void on_progress(j_common_ptr codec) {
  if (reinterpret_cast<j_decompress_ptr>(codec)->input_scan_number > kMaxScans) {
    auto* errors = reinterpret_cast<JpegErrors*>(codec->err);
    std::snprintf(errors->text, sizeof errors->text, "more than %d scans", kMaxScans);
    std::longjmp(errors->escape, 1);
  }
}

inline jpeg_error_mgr* prepare(JpegErrors& errors, bool strict) {
  jpeg_error_mgr* base = jpeg_std_error(&errors.base);
  base->error_exit = on_error;
  base->emit_message = on_message;
  errors.text[0] = 0;
  errors.strict = strict;
  return base;
}

}  // namespace rescale_fast
