/* Keeps what the grammars' scanners remember within the room that the parser has for it.
 *
 * Behind each token a grammar's scanner writes its state (open indentations, strings, heredocs) into a buffer of 1,024 bytes. The parser
 * looks whether it fitted afterwards, and ends the process if not; some scanners end it when they read back something else than
 * they wrote. Python and YAML check before they write two or four bytes more than they counted, Ruby two, and Ruby writes the length of
 * a heredoc's word as one byte. A file of 300 bytes is enough.
 *
 * The linker puts these functions between the parser and the scanners (build.rs). Each lets the scanner write into more room than
 * any needs, and hands on what fits and can be read back, or nothing: then the scanner forgets what is open, and the tree has an error there.
 */
#include <string.h>

enum { PARSERS_ROOM = 1024, ROOM = 8192 };

typedef unsigned (*Serialize)(void *scanner, char *state);
typedef int (*Sound)(const unsigned char *state, unsigned length);

static int always(const unsigned char *state, unsigned length) {
    (void)state;
    (void)length;
    return 1;
}

/* Ruby's: the number of literals, five bytes each, the number of heredocs, and of each three flags, the length of its word and
 * the word. A word of no length is none that it could ever find the end of. */
static int ruby_reads_it_back(const unsigned char *state, unsigned length) {
    if (length == 0) return 1;
    unsigned at = 1 + 5u * state[0];
    if (at >= length) return 0;
    unsigned heredocs = state[at];
    at += 1;
    for (; heredocs > 0; heredocs--) {
        if (at + 4 > length || state[at + 3] == 0) return 0;
        at += 4 + state[at + 3];
    }
    return at == length;
}

static unsigned bounded(Serialize serialize, Sound sound, void *scanner, char *state) {
    char room[ROOM];
    unsigned length = serialize(scanner, room);
    if (length > PARSERS_ROOM || !sound((const unsigned char *)room, length)) return 0;
    memcpy(state, room, length);
    return length;
}

/* Weak: a program without the grammar has no such function, and never calls this one. */
#define GUARD(language, sound)                                                                                              \
    __attribute__((weak)) unsigned __real_tree_sitter_##language##_external_scanner_serialize(void *, char *);              \
    unsigned __wrap_tree_sitter_##language##_external_scanner_serialize(void *scanner, char *state) {                       \
        return bounded(__real_tree_sitter_##language##_external_scanner_serialize, sound, scanner, state);                  \
    }

GUARD(c_sharp, always)
GUARD(containerfile, always)
GUARD(hcl, always)
GUARD(php, always)
GUARD(python, always)
GUARD(ruby, ruby_reads_it_back)
GUARD(yaml, always)
