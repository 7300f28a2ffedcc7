// The extension module bitwright._engine: Plan, and what it is built from. Python checks what users give; here is
// checked only what would read or write out of bounds.
#include <stdexcept>

#include "conv/folding.h"
#include "entropy/bind.h"
#include "python/bind.h"
#include "python/buffers.h"
#include "python/face.h"

namespace bitwright {
namespace {

Type type_of(const std::string& name) {
    constexpr const char* names[] = {"u8", "i16", "i32", "i64", "f32"};
    for (int i = 0; i < 5; ++i)
        if (name == names[i]) return static_cast<Type>(i);
    throw std::invalid_argument("unknown type " + name);
}

Isa isa_of(const std::string& name) {
    Isa isa;
    if (!parse_isa(name, isa)) throw std::invalid_argument("unknown instruction set " + name);
    if (isa > detected_isa()) throw std::invalid_argument("this machine has no " + name);
    return isa;
}

Tensor make_tensor(const std::string& type, const std::vector<std::int64_t>& dims,
                   const std::vector<std::int64_t>& strides) {
    if (dims.size() > max_rank || dims.size() != strides.size())
        throw std::invalid_argument("dims and strides, at most 6 each");
    Tensor tensor;
    tensor.type = type_of(type);
    tensor.rank = static_cast<int>(dims.size());
    for (std::size_t i = 0; i < dims.size(); ++i) tensor.dims[i] = dims[i], tensor.strides[i] = strides[i];
    return tensor;
}

int add_in_arena(Plan& plan, const std::string& type, const std::vector<std::int64_t>& dims,
                 const std::vector<std::int64_t>& strides, std::int64_t offset) {
    Tensor tensor = make_tensor(type, dims, strides);
    tensor.offset = offset;
    std::int64_t end = offset;
    for (int i = 0; i < tensor.rank; ++i)
        end += (tensor.dims[i] - 1) * tensor.strides[i] * static_cast<std::int64_t>(bytes_of(tensor.type));
    if (offset < 0 ||
        (tensor.elements() && end + static_cast<std::int64_t>(bytes_of(tensor.type)) > plan.arena_bytes()))
        throw std::out_of_range("a tensor lies outside the arena");
    return plan.add(tensor);
}

int add_external(Plan& plan, const std::string& type, const std::vector<std::int64_t>& dims,
                 const std::vector<std::int64_t>& strides, int index) {
    Tensor tensor = make_tensor(type, dims, strides);
    tensor.place = Place::external;
    tensor.external = index;
    return plan.add(tensor);
}

int add_constant(Plan& plan, const std::string& type, const std::vector<std::int64_t>& dims, nb::bytes elements) {
    std::vector<std::int64_t> strides(dims.size(), 1);
    for (std::size_t i = dims.size(); i-- > 1;) strides[i - 1] = strides[i] * dims[i];
    const Tensor tensor = make_tensor(type, dims, strides);
    if (elements.size() != static_cast<std::size_t>(tensor.elements()) * bytes_of(tensor.type))
        throw std::invalid_argument("elements do not fill the tensor");
    return plan.add_constant(tensor, elements.c_str());
}

void run(Plan& plan, nb::tuple inputs, nb::list outputs, double* microseconds) {
    Buffers buffers(plan.externals());
    for (nb::handle array : inputs) buffers.hold(array.ptr(), false);
    for (nb::handle array : outputs) buffers.hold(array.ptr(), true);
    if (buffers.held() != plan.externals()) throw std::invalid_argument("too few arrays");
    plan.check_externals([&](int index, std::int64_t bytes) { return buffers.bytes(index) == bytes; });
    const nb::gil_scoped_release release;
    plan.run(buffers.starts(), microseconds);
}

}  // namespace

NB_MODULE(_engine, m) {
    m.def("detected_isa", [] { return std::string(isa_names[static_cast<int>(detected_isa())]); });
    m.def(
        "usable_isa", [] { return std::string(isa_names[static_cast<int>(usable_isa())]); },
        "detected_isa(), capped by the environment variable BITWRIGHT_ISA.");
    m.def("environment_cap_is_valid", &environment_cap_is_valid);

    m.def(
        "fold_bias",
        [](Array<std::int8_t> weights, Array<std::int32_t> bias, std::int64_t zero_point,
           nb::ndarray<std::int32_t, nb::c_contig, nb::device::cpu> folded) {
            const std::size_t channels = folded.size();
            if (bias.size() != channels || (channels && weights.size() % channels))
                throw std::invalid_argument("weights, bias and result have one entry a channel");
            const std::size_t depth = channels ? weights.size() / channels : 0;
            for (std::size_t o = 0; o < channels; ++o)
                folded.data()[o] = conv::folded(bias.data()[o], weights.data() + o * depth, depth, zero_point);
        },
        "weights"_a, "bias"_a, "zero_point"_a, "folded"_a,
        "bias - zero_point * sum of weights of each channel, modulo 2^32: weights i8[O,...], bias i32[O].");

    nb::class_<Requant>(m, "Requant")
        .def(
            "__init__",
            [](Requant* self, const std::string& rounding, std::int32_t zero_point, std::int32_t qmin,
               std::int32_t qmax, Array<float> scale, Array<std::int32_t> multiplier, Array<std::int32_t> shift,
               Array<double> scale64) {
                constexpr const char* names[] = {"fp32_even", "tflite_double", "tflite_single", "tflite_int64",
                                                 "fp64_away"};
                int found = -1;
                for (int i = 0; i < 5; ++i)
                    if (rounding == names[i]) found = i;
                if (found < 0) throw std::invalid_argument("unknown rounding " + rounding);
                const auto all = [](const auto& array, auto& to) {
                    to.assign(array.data(), array.data() + array.size());
                };
                new (self) Requant{static_cast<bw_rounding>(found), zero_point, qmin, qmax, {}, {}, {}, {}};
                all(scale, self->scale);
                all(multiplier, self->multiplier);
                all(shift, self->shift);
                all(scale64, self->scale64);
            },
            "rounding"_a, "zero_point"_a, "qmin"_a, "qmax"_a, "scale"_a, "multiplier"_a, "shift"_a, "scale64"_a,
            "How a step requantizes; arrays that the rounding does not use are empty.");

    bind_face(m);
    bind_entropy(m);

    PlanClass plan(m, "Plan");
    plan.def(
            "__init__",
            [](Plan* self, const std::string& isa, int threads, std::int64_t arena_bytes) {
                if (threads < 1 || arena_bytes < 0) throw std::invalid_argument("threads and arena_bytes");
                new (self) Plan(isa_of(isa), threads, arena_bytes);
            },
            "isa"_a, "threads"_a, "arena_bytes"_a)
        .def("tensor", &add_in_arena, "type"_a, "dims"_a, "strides"_a, "offset"_a)
        .def("external", &add_external, "type"_a, "dims"_a, "strides"_a, "index"_a)
        .def("constant", &add_constant, "type"_a, "dims"_a, "elements"_a)
        .def(
            "run", [](Plan& self, nb::tuple inputs, nb::list outputs) { run(self, inputs, outputs, nullptr); },
            "inputs"_a, "outputs"_a,
            "Inputs in order, then outputs to write to: C-contiguous arrays of their tensors' bytes.")
        .def(
            "profile",
            [](Plan& self, nb::tuple inputs, nb::list outputs) {
                std::vector<double> microseconds(self.steps().size());
                run(self, inputs, outputs, microseconds.data());
                return microseconds;
            },
            "inputs"_a, "outputs"_a, "A run; microseconds of each step.")
        .def_prop_ro("step_names",
                     [](const Plan& self) {
                         std::vector<std::string> names;
                         for (const auto& step : self.steps()) names.push_back(step->name());
                         return names;
                     })
        .def_prop_ro("arena_bytes", &Plan::arena_bytes);
#define BW_FAMILY(name) bind_##name(plan);
#include "python/families.inc"
#undef BW_FAMILY
}

}  // namespace bitwright
