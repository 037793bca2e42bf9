#include "classes/confusion.h"
#include "bind/bind.h"
#include "core/array.h"

namespace rescale_fast {
namespace {

using namespace pybind11::literals;

void check_num_classes(std::int64_t num_classes) {
  if (num_classes < 1) throw py::value_error(message("num_classes is ", num_classes, ", expected at least 1"));
}

void check_ids(const IdArray& ids, const char* name, std::int64_t num_classes) {
  const std::int64_t* values = ids.data();
  for (py::ssize_t i = 0; i < ids.size(); ++i) {
    if (values[i] < 0 || values[i] >= num_classes) {
      throw py::value_error(message(name, "[", i, "] is ", values[i], ", expected 0..", num_classes - 1));
    }
  }
}

// Sums of the probabilities of a class's images must fit: see classes/confusion.h.
void check_class_sizes(const IdArray& labels, std::int64_t num_classes) {
  Array<std::int64_t> sizes(num_classes);
  for (py::ssize_t i = 0; i < labels.size(); ++i) ++sizes[labels.data()[i]];
  for (std::int64_t c = 0; c < num_classes; ++c) {
    if (sizes[c] >= std::int64_t{1} << 23) {
      throw py::value_error(message("labels has ", sizes[c], " images of class ", c, ", expected fewer than 2^23"));
    }
  }
}

void check_probabilities(const RealArray& probabilities) {
  const double* values = probabilities.data();
  for (py::ssize_t i = 0; i < probabilities.size(); ++i) {
    if (!(values[i] >= 0.0 && values[i] <= 1.0)) {  // also true for NaN
      throw py::value_error(message("probabilities[", i, "] is ", values[i], ", expected 0..1"));
    }
  }
}

IdArray count_confusion_checked(const IdArray& labels, const IdArray& predicted, std::int64_t num_classes,
                                int num_threads) {
  check_num_classes(num_classes);
  check_dimensions(labels, "labels", 1);
  check_dimensions(predicted, "predicted", 1);
  if (labels.size() != predicted.size()) {
    throw py::value_error(message("labels has ", labels.size(), " entries, predicted has ", predicted.size()));
  }
  check_ids(labels, "labels", num_classes);
  check_ids(predicted, "predicted", num_classes);
  IdArray counts({num_classes, num_classes});
  const std::int64_t *t = labels.data(), *p = predicted.data(), n = labels.size();
  std::int64_t* out = counts.mutable_data();
  Job job(num_threads);
  {
    // The pass over the images is long, and touches no Python object.
    const py::gil_scoped_release nogil;
    count_confusion(t, p, n, num_classes, job, out);
  }
  return counts;
}

RealArray sum_probabilities_checked(const IdArray& labels, const IdArray& ids, const RealArray& probabilities,
                                    std::int64_t num_classes, int num_threads) {
  check_num_classes(num_classes);
  check_dimensions(labels, "labels", 1);
  check_dimensions(ids, "ids", 2);
  check_dimensions(probabilities, "probabilities", 2);
  if (ids.shape(0) != labels.size() || probabilities.shape(0) != ids.shape(0) ||
      probabilities.shape(1) != ids.shape(1)) {
    throw py::value_error(message("labels has ", labels.size(), " entries, ids is (", ids.shape(0), ", ", ids.shape(1),
                                  "), probabilities is (", probabilities.shape(0), ", ", probabilities.shape(1),
                                  "); expected (N,), (N, T), (N, T)"));
  }
  check_ids(labels, "labels", num_classes);
  check_class_sizes(labels, num_classes);
  check_ids(ids, "ids", num_classes);
  check_probabilities(probabilities);
  RealArray soft({num_classes, num_classes});
  const std::int64_t *t = labels.data(), *c = ids.data(), n = labels.size(), top = ids.shape(1);
  const double* p = probabilities.data();
  double* out = soft.mutable_data();
  Job job(num_threads);
  {
    const py::gil_scoped_release nogil;  // as above
    sum_probabilities(t, c, p, n, top, num_classes, job, out);
  }
  return soft;
}

}  // namespace

void register_confusion(py::module_& module) {
  module.def("count_confusion", &count_confusion_checked, "labels"_a.noconvert(), "predicted"_a.noconvert(),
             "num_classes"_a, py::kw_only(), "num_threads"_a);
  module.def("sum_probabilities", &sum_probabilities_checked, "labels"_a.noconvert(), "ids"_a.noconvert(),
             "probabilities"_a.noconvert(), "num_classes"_a, py::kw_only(), "num_threads"_a);
}

}  // namespace rescale_fast
