#include "image/image_file.h"

#include <cstring>
#include <new>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>

#include "core/file_io.h"

namespace rescale_fast {
namespace {

constexpr off_t kMaxFileBytes = off_t{1} << 29;

class File {
 public:
  explicit File(const std::string& path) : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }

  FileBytes read() const {
    struct stat info;
    if (fd_ < 0 || ::fstat(fd_, &info) != 0) return refused(errno);
    if (!S_ISREG(info.st_mode)) return faulty("not a file");
    if (info.st_size == 0) return faulty("empty: 0 bytes");
    if (info.st_size > kMaxFileBytes) return faulty("larger than 512 MiB");
    FileBytes file;
    try {
      file.bytes.resize(static_cast<std::size_t>(info.st_size));
      if (read_at(fd_, file.bytes.data(), file.bytes.size(), 0) != file.bytes.size()) return refused(EIO);
    } catch (const std::bad_alloc&) {
      return refused(ENOMEM);
    } catch (const std::system_error& error) {
      return refused(error.code().value());
    }
    return file;
  }

 private:
  static FileBytes faulty(const char* what) { return {{}, 0, what}; }

  static FileBytes refused(int error) {
    if (error == ELOOP) return faulty("Too many levels of symbolic links");  // a link to itself, which stays one
    if (error == ENXIO) return faulty("not a file");                         // a socket
    return {{}, error, {}};
  }

  const int fd_;
};

}  // namespace

FileBytes ask_for_file(const std::string& path) { return File(path).read(); }

std::vector<std::uint8_t> read_image_file(const std::string& path, Patience& patience) {
  for (std::size_t refusal = 0;; ++refusal) {
    FileBytes file = ask_for_file(path);
    if (!file.fault.empty()) throw ImageError(file.fault);
    if (file.error == 0) return std::move(file.bytes);
    if (!patience.wait(refusal)) throw FileError(path, file.error);
  }
}

void check_pixels(std::int64_t width, std::int64_t height, std::int64_t max_pixels) {
  if (width * height > max_pixels) {
    throw ImageError(std::to_string(width) + " x " + std::to_string(height) + " pixels: more than the limit of " +
                     std::to_string(max_pixels));
  }
}

}  // namespace rescale_fast
