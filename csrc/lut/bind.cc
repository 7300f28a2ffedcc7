#include <cstring>
#include <stdexcept>

#include "elementwise/step.h"
#include "lut/lut.h"
#include "python/bind.h"

namespace bitwright {
namespace {

using elementwise::ElementwiseStep;

// Calls look_up(x, length, y) for rows of the block; elements that do not lie side by side come one by one.
template <typename T, typename LookUp>
void each_row(const bw_block& block, const std::byte* x, std::byte* y, const LookUp& look_up) {
    const T* const from = reinterpret_cast<const T*>(x);
    T* const to = reinterpret_cast<T*>(y);
    const bool together = block.stride[0] == 1 && block.stride[1] == 1;
    const std::int64_t count = together ? 1 : block.length, length = together ? block.length : 1;
    for (std::int64_t r = 0; r < block.rows; ++r)
        for (std::int64_t i = 0; i < count; ++i)
            look_up(from + r * block.row_stride[1] + i * block.stride[1], length,
                    to + r * block.row_stride[0] + i * block.stride[0]);
}

// The table, and nothing of it is copied from run to run.
template <typename T>
std::shared_ptr<const Buffer> held(const Array<T>& table) {
    auto buffer = std::make_shared<Buffer>(table.size() * sizeof(T));
    std::memcpy(buffer->data(), table.data(), table.size() * sizeof(T));
    return buffer;
}

template <typename Function>
void add_step(Plan& plan, std::string name, int x, int y, Type type, Function function) {
    if (plan.tensor(x).type != type || plan.tensor(y).type != type)
        throw std::invalid_argument("a table is for tensors of its type");
    plan.add(std::make_unique<ElementwiseStep>(std::move(name), ElementwiseStep::Operand{y, &plan.tensor(y)},
                                               ElementwiseStep::Operand{x, &plan.tensor(x)}, ElementwiseStep::Operand{},
                                               std::move(function)));
}

void add_bytes(Plan& plan, int x, int y, Array<std::uint8_t> table) {
    if (table.size() != 256) throw std::invalid_argument("a table of bytes has 256 entries");
    const lut::Kernel& kernel = lut::select(plan.isa());
    add_step(plan, kernel.name, x, y, Type::u8,
             [entries = held(table), &kernel](const bw_block& block, const std::byte* from, const std::byte*,
                                              std::byte* to) {
                 each_row<std::uint8_t>(block, from, to,
                                        [&](const std::uint8_t* a, std::int64_t length, std::uint8_t* b) {
                                            kernel.bytes(entries->as<std::uint8_t>(), a, length, b);
                                        });
             });
}

void add_words(Plan& plan, int x, int y, Array<std::int16_t> table) {
    if (table.size() != 513 && table.size() != 65536)
        throw std::invalid_argument("a table of words has 513 or 65536 entries");
    const lut::Kernel& kernel = lut::select(plan.isa());
    const bool whole = table.size() == 65536;
    const auto look_up = whole ? lut::words : kernel.interpolated;
    add_step(plan, whole ? "lut16.scalar" : std::string(kernel.name) + " (interpolated)", x, y, Type::i16,
             [entries = held(table), look_up](const bw_block& block, const std::byte* from, const std::byte*,
                                              std::byte* to) {
                 each_row<std::int16_t>(block, from, to,
                                        [&](const std::int16_t* a, std::int64_t length, std::int16_t* b) {
                                            look_up(entries->as<std::int16_t>(), a, length, b);
                                        });
             });
}

}  // namespace

void bind_lut(PlanClass& plan) {
    plan.def("lut", &add_bytes, "x"_a, "y"_a, "table"_a, "y = table[x]: u8, 256 entries.");
    plan.def(
        "lut16", &add_words, "x"_a, "y"_a, "table"_a,
        "i16: 65536 entries, that of -32768 first; or 513, at steps of 128 integers, between which is interpolated.");
}

}  // namespace bitwright
