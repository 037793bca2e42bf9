#include "image/jpeg_library.h"

#include <algorithm>

#include <jerror.h>

namespace rescale_fast {
namespace {

constexpr int kMaxScans = 1000;                           // more are an attack: each is a pass over the whole image
constexpr std::size_t kFirstRoom = std::size_t{1} << 14;  // bytes for a new file

// Exceptions must not pass libjpeg, which is C.
bool resize(std::vector<std::uint8_t>& bytes, std::size_t size) noexcept {
  try {
    bytes.resize(size);
    return true;
  } catch (...) {
    return false;
  }
}

}  // namespace

JpegErrors::JpegErrors(bool strict) : strict_(strict) {
  jpeg_std_error(&base_);
  base_.error_exit = on_error;
  base_.emit_message = on_message;
  progress_.progress_monitor = on_progress;
}

void JpegErrors::watch(jpeg_decompress_struct& codec) {
  codec.err = &base_;
  codec.client_data = this;
  run([&] { jpeg_create_decompress(&codec); });
  codec.progress = &progress_;
}

void JpegErrors::watch(jpeg_compress_struct& codec) {
  codec.err = &base_;
  codec.client_data = this;
  run([&] { jpeg_create_compress(&codec); });
}

void JpegErrors::on_error(j_common_ptr codec) {
  auto* errors = static_cast<JpegErrors*>(codec->client_data);
  errors->base_.format_message(codec, errors->text_);
  std::longjmp(errors->escape_, 1);
}

void JpegErrors::on_message(j_common_ptr codec, int level) {
  if (level >= 0) return;  // not a warning
  auto* errors = static_cast<JpegErrors*>(codec->client_data);
  ++errors->base_.num_warnings;
  if (errors->strict_) on_error(codec);
}

void JpegErrors::on_progress(j_common_ptr codec) {
  if (reinterpret_cast<j_decompress_ptr>(codec)->input_scan_number <= kMaxScans) return;
  auto* errors = static_cast<JpegErrors*>(codec->client_data);
  std::snprintf(errors->text_, sizeof errors->text_, "more than %d scans", kMaxScans);
  std::longjmp(errors->escape_, 1);
}

Decompressor::Decompressor(bool strict) : errors_(strict) { errors_.watch(codec_); }

void Decompressor::spoil_tables() {
  run([&] {
    for (JHUFF_TBL** tables : {codec_.dc_huff_tbl_ptrs, codec_.ac_huff_tbl_ptrs}) {
      for (int i = 0; i < NUM_HUFF_TBLS; ++i) {
        tables[i] = jpeg_alloc_huff_table(reinterpret_cast<j_common_ptr>(&codec_));
        std::fill_n(tables[i]->bits, sizeof tables[i]->bits, UINT8{255});  // more codes than there can be
      }
    }
  });
}

void Decompressor::start(const std::uint8_t* data, std::size_t size, int eighths, bool planes) {
  run([&] {
    jpeg_mem_src(&codec_, data, static_cast<unsigned long>(size));
    jpeg_read_header(&codec_, TRUE);
    codec_.scale_num = static_cast<unsigned>(eighths);
    codec_.scale_denom = 8;
    codec_.out_color_space = planes ? codec_.jpeg_color_space : JCS_RGB;
    codec_.raw_data_out = planes ? TRUE : FALSE;
    codec_.dct_method = JDCT_ISLOW;
    jpeg_start_decompress(&codec_);
  });
}

Compressor::Compressor() : errors_(false) {
  errors_.watch(codec_);
  target_.init_destination = make_room;
  target_.empty_output_buffer = on_full;
  target_.term_destination = on_end;
  codec_.dest = &target_;
}

void Compressor::start(int width, int height, int quality, bool planes) {
  run([&] {
    codec_.image_width = static_cast<unsigned>(width);
    codec_.image_height = static_cast<unsigned>(height);
    codec_.input_components = 3;
    codec_.in_color_space = planes ? JCS_YCbCr : JCS_RGB;
    jpeg_set_defaults(&codec_);  // 4:2:0
    jpeg_set_quality(&codec_, quality, TRUE);
    codec_.raw_data_in = planes ? TRUE : FALSE;
    jpeg_start_compress(&codec_, TRUE);
  });
}

std::vector<std::uint8_t> Compressor::finish() {
  run([&] { jpeg_finish_compress(&codec_); });
  target_.bytes.shrink_to_fit();
  return std::move(target_.bytes);
}

// Makes the memory twice as large; what is behind its first half is free.
void Compressor::make_room(j_compress_ptr codec) {
  auto* target = static_cast<Target*>(codec->dest);
  const std::size_t used = target->bytes.size();
  if (!resize(target->bytes, std::max(kFirstRoom, 2 * used))) ERREXIT1(codec, JERR_OUT_OF_MEMORY, 0);
  target->next_output_byte = target->bytes.data() + used;
  target->free_in_buffer = target->bytes.size() - used;
}

boolean Compressor::on_full(j_compress_ptr codec) {
  make_room(codec);
  return TRUE;
}

void Compressor::on_end(j_compress_ptr codec) {
  auto* target = static_cast<Target*>(codec->dest);
  target->bytes.resize(target->bytes.size() - target->free_in_buffer);  // smaller: it cannot throw
}

}  // namespace rescale_fast
