// Stop strings in text that comes in pieces: they are found wherever they are split and never
// shown, and no other text is lost.
#include "engine/stop_matcher.h"

#include "base/random.h"
#include "support/catch.h"

using namespace molink;

namespace {

struct Shown {
    std::string text;
    bool stopped = false;
};

/// Feeds `text` to a matcher in pieces of random length. Returns the text that it shows.
Shown feed(const std::vector<std::string>& stops, const std::string& text, Random& random) {
    StopMatcher matcher(stops);
    Shown shown;
    for (std::size_t at = 0; at < text.size() && !shown.stopped;) {
        const std::size_t length = 1 + random.below(4);
        shown.text += matcher.push(text.substr(at, length), shown.stopped);
        at += length;
    }
    if (!shown.stopped) shown.text += matcher.flush();
    return shown;
}

}  // namespace

TEST_CASE("a stop string is found wherever it is split") {
    Random random(3);
    for (int i = 0; i < 200; ++i) {
        const Shown shown = feed({"END", "stop"}, "say abENDcd stop", random);
        REQUIRE(shown.stopped);
        REQUIRE(shown.text == "say ab");
    }
}

TEST_CASE("text that only begins like a stop string is shown in the end") {
    std::vector<std::string> stops{"abcd"};
    StopMatcher matcher(stops);
    bool stopped = false;
    REQUIRE(matcher.push("xab", stopped) == "x");
    REQUIRE(matcher.push("c", stopped).empty());
    REQUIRE(matcher.push("e", stopped) == "abce");
    REQUIRE(matcher.push("ab", stopped).empty());
    REQUIRE_FALSE(stopped);
    REQUIRE(matcher.flush() == "ab");
    REQUIRE(matcher.flush().empty());
}

TEST_CASE("the first of several stop strings ends the text, also within the beginning of another") {
    Random random(4);
    for (int i = 0; i < 100; ++i) {
        REQUIRE(feed({"aab", "b"}, "aaab", random).text == "a");
        REQUIRE(feed({"aaaa", "ab"}, "aaab", random).text == "aa");
        REQUIRE(feed({"\n\n"}, "one\ntwo\n\nthree", random).text == "one\ntwo");
    }
}

TEST_CASE("random texts give the same result as a search over the whole text") {
    Random random(5);
    for (int round = 0; round < 3000; ++round) {
        std::string text(random.below(30), 'a');
        for (char& c : text) c = static_cast<char>('a' + random.below(2));
        std::vector<std::string> stops(1 + random.below(3));
        for (std::string& stop : stops) {
            stop.assign(1 + random.below(5), 'a');
            for (char& c : stop) c = static_cast<char>('a' + random.below(2));
        }
        // When letters come one at a time, the stop string that ends first is found.
        StopMatcher matcher(stops);
        bool stopped = false;
        std::string shown;
        std::size_t fed = 0;
        while (fed < text.size() && !stopped) shown += matcher.push(text.substr(fed++, 1), stopped);
        if (!stopped) shown += matcher.flush();
        std::size_t expected_fed = text.size();
        for (std::size_t end = 1; end <= text.size(); ++end) {
            bool found = false;
            for (const std::string& stop : stops)
                found = found || text.substr(0, end).ends_with(stop);
            if (!found) continue;
            expected_fed = end;
            break;
        }
        REQUIRE(fed == expected_fed);
        REQUIRE(text.substr(0, shown.size()) == shown);
        if (!stopped) REQUIRE(shown == text);
    }
}
