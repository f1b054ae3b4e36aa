// The only file that includes PCRE2. The caller verifies the text once. Matching then skips the
// library's UTF check, which would make the iteration over a long text quadratic. Patterns are
// compiled to machine code where the platform permits it. If that code runs out of stack, the
// interpreter, whose frames are on the heap, is used. Limits turn runaway patterns into errors.
#include "tokenizer/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/error.h"
#include "base/limits.h"
#include "tokenizer/regex_translate.h"

namespace molink {
namespace {

std::string message_of(int error) {
    PCRE2_UCHAR text[256];
    const int size = pcre2_get_error_message(error, text, sizeof text);
    if (size < 0) return fmt::format("PCRE2 error {}", error);
    return std::string(reinterpret_cast<const char*>(text), static_cast<std::size_t>(size));
}

struct CompileContext {
    CompileContext() : context(pcre2_compile_context_create(nullptr)) {
        if (context) pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    }
    ~CompileContext() { pcre2_compile_context_free(context); }
    CompileContext(const CompileContext&) = delete;
    CompileContext& operator=(const CompileContext&) = delete;
    pcre2_compile_context* context;
};

Result<pcre2_code*> compile_code(std::string_view pattern, std::uint32_t options) {
    const CompileContext context;
    int error = 0;
    PCRE2_SIZE offset = 0;
    pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                                     options | PCRE2_UTF, &error, &offset, context.context);
    if (!code) {
        return invalid_argument("compile the translated pattern \"{}\": {} at offset {}", pattern,
                                message_of(error), offset);
    }
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);  // optional; without it the interpreter runs
    return code;
}

}  // namespace

struct Regex::Code {
    explicit Code(pcre2_code* compiled) : code(compiled) {}
    ~Code() { pcre2_code_free(code); }
    Code(const Code&) = delete;
    Code& operator=(const Code&) = delete;
    pcre2_code* code;
};

struct Regex::Workspace::State {
    State()
        : data(pcre2_match_data_create(1, nullptr)),
          context(pcre2_match_context_create(nullptr)),
          jit_stack(pcre2_jit_stack_create(limits::kMatchStackBytes, limits::kMaxMatchStackBytes,
                                           nullptr)) {
        if (!context) return;
        pcre2_set_match_limit(context, limits::kMaxMatchSteps);
        pcre2_set_heap_limit(context, limits::kMaxMatchHeapKib);
        if (jit_stack) pcre2_jit_stack_assign(context, nullptr, jit_stack);
    }
    ~State() {
        pcre2_jit_stack_free(jit_stack);
        pcre2_match_context_free(context);
        pcre2_match_data_free(data);
    }
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    pcre2_match_data* data;
    pcre2_match_context* context;
    pcre2_jit_stack* jit_stack;
};

Regex::Workspace::Workspace() : state_(std::make_unique<State>()) {}
Regex::Workspace::~Workspace() = default;

Regex::Regex(std::unique_ptr<Code> code) : code_(std::move(code)) {}
Regex::~Regex() = default;
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;

Result<Regex> Regex::compile(std::string_view pattern) {
    MOLINK_ASSIGN_OR_RETURN(const std::string translated, translate_regex(pattern));
    MOLINK_ASSIGN_OR_RETURN(pcre2_code * code,
                            compile_code(translated, PCRE2_UCP | PCRE2_MULTILINE));
    return Regex(std::make_unique<Code>(code));
}

Result<Regex> Regex::compile_literal(std::string_view text) {
    MOLINK_ASSIGN_OR_RETURN(pcre2_code * code, compile_code(text, PCRE2_LITERAL));
    return Regex(std::make_unique<Code>(code));
}

Result<std::optional<Regex::Match>> Regex::find(std::string_view subject, std::size_t start,
                                                Workspace& workspace) const {
    const Workspace::State& state = *workspace.state_;
    if (!state.data || !state.context) {
        return make_error(StatusCode::resource_exhausted,
                          "match a pattern: no memory for the workspace");
    }
    const auto match = [&](std::uint32_t options) {
        return pcre2_match(code_->code, reinterpret_cast<PCRE2_SPTR>(subject.data()),
                           subject.size(), start, options | PCRE2_NO_UTF_CHECK, state.data,
                           state.context);
    };
    int count = match(0);
    if (count == PCRE2_ERROR_JIT_STACKLIMIT) count = match(PCRE2_NO_JIT);
    if (count == PCRE2_ERROR_NOMATCH) return std::optional<Match>();
    if (count < 0) {
        return make_error(StatusCode::resource_exhausted, "match a pattern from byte {} of {}: {}",
                          start, subject.size(), message_of(count));
    }
    const PCRE2_SIZE* const range = pcre2_get_ovector_pointer(state.data);
    return std::optional<Match>(Match{range[0], range[1]});
}

}  // namespace molink
