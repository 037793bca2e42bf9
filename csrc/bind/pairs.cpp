#include "quality/pairs.h"
#include "bind/bind.h"

namespace rescale_fast {
namespace {

using namespace pybind11::literals;
using FlagArray = py::array_t<bool, py::array::c_style>;

void check_same_shape(const py::array& first, const py::array& other, const char* name) {
  check_dimensions(other, name, 2);
  if (other.shape(0) != first.shape(0) || other.shape(1) != first.shape(1)) {
    throw py::value_error(message(name, " is (", other.shape(0), ", ", other.shape(1), "), full is (", first.shape(0),
                                  ", ", first.shape(1), ")"));
  }
}

IdArray count_pairs_checked(const RealArray& full, const RealArray& part, const FlagArray& in_band,
                            const RealArray& gaps, double tied, int num_threads) {
  check_dimensions(full, "full", 2);
  check_same_shape(full, part, "part");
  check_same_shape(full, in_band, "in_band");
  check_dimensions(gaps, "gaps", 1);
  const OrderDraws draws{full.data(), part.data(), in_band.data(), full.shape(0), full.shape(1)};
  const GapBins bins{gaps.data(), gaps.size(), tied};
  IdArray counts({draws.num_draws, bins.size(), std::int64_t{kAgreements}, std::int64_t{2}});
  std::int64_t* out = counts.mutable_data();
  Job job(num_threads);
  run_job(job, [&] { count_pairs(draws, bins, job, out); });
  return counts;
}

}  // namespace

void register_pairs(py::module_& module) {
  module.def("count_pairs", &count_pairs_checked, "full"_a.noconvert(), "part"_a.noconvert(), "in_band"_a.noconvert(),
             "gaps"_a.noconvert(), py::kw_only(), "tied"_a, "num_threads"_a);
}

}  // namespace rescale_fast
