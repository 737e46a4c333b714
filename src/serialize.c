/* R's own serialization as a stream to and from Rust.
 *
 * R reports errors by jumping. No jump may cross a Rust frame, so everything that can raise one runs
 * inside R_ToplevelExec here, and the callbacks into Rust have returned before anything jumps. */
#include <R.h>
#include <Rinternals.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BUFFER 16384
/* From here on bytes go past the buffer. */
#define DIRECT 4096
/* From here on it is worth a call of the system to make memory ready before it is read into. */
#define LARGE 32768
#define MESSAGE 1024
/* Lists within each other that a task's answer is made of, down to the user's own value. */
#define LISTS 2

typedef int (*write_fn)(void *sink, const uint8_t *bytes, size_t count);
/* The next bytes, which stay where they are until the next call; none at the end, and after an error. */
typedef size_t (*piece_fn)(void *source, const uint8_t **bytes);
typedef void (*ready_fn)(uint8_t *memory, size_t count);
typedef int (*next_fn)(void *rust, size_t which);

typedef struct {
  SEXP list;
  void *rust;
  write_fn write;
  piece_fn piece;
  ready_fn make_ready;
  next_fn next;
  int failed;
  char *message;
  /* Of the piece that is read. */
  const uint8_t *from;
  size_t left;
  /* What is written. */
  size_t held;
  uint8_t buffer[BUFFER];
} stream;

/* Rust has returned when it wants no more: leaving by a jump is safe here. */
static void give(stream *s, const uint8_t *bytes, size_t n) {
  if (s->write(s->rust, bytes, n)) Rf_error("the value is not wanted any more");
}

static void drain(stream *s) {
  if (s->held > 0) {
    size_t n = s->held;
    s->held = 0;
    give(s, s->buffer, n);
  }
}

/* Most of a value with many strings is integers and strings that are no longer than this, one call each. */
#define SHORT 16

/* Copies up to SHORT bytes, without a call: two halves that overlap where they have to. */
static inline void copy_short(uint8_t *to, const uint8_t *from, size_t n) {
  if (n >= 8) {
    uint64_t head, tail;
    memcpy(&head, from, 8);
    memcpy(&tail, from + n - 8, 8);
    memcpy(to, &head, 8);
    memcpy(to + n - 8, &tail, 8);
  } else if (n >= 4) {
    uint32_t head, tail;
    memcpy(&head, from, 4);
    memcpy(&tail, from + n - 4, 4);
    memcpy(to, &head, 4);
    memcpy(to + n - 4, &tail, 4);
  } else if (n > 0) {
    to[0] = from[0];
    to[n / 2] = from[n / 2];
    to[n - 1] = from[n - 1];
  }
}

/* Apart from what is called most, which then needs no registers saved. */
static __attribute__((noinline)) void put(stream *s, const uint8_t *bytes, size_t n) {
  if (n >= DIRECT) {
    drain(s);
    give(s, bytes, n);
    return;
  }
  if (s->held + n > BUFFER) drain(s);
  memcpy(s->buffer + s->held, bytes, n);
  s->held += n;
}

static void out_bytes(R_outpstream_t st, void *bytes, int count) {
  stream *s = (stream *)st->data;
  size_t n = (size_t)count;
  if (n > SHORT || n > BUFFER - s->held) {
    put(s, bytes, n);
    return;
  }
  copy_short(s->buffer + s->held, bytes, n);
  s->held += n;
}

static void out_char(R_outpstream_t st, int c) {
  uint8_t byte = (uint8_t)c;
  out_bytes(st, &byte, 1);
}

static __attribute__((noinline)) void take(stream *s, uint8_t *to, size_t n) {
  if (n >= LARGE) s->make_ready(to, n);
  while (n > 0) {
    if (s->left == 0) s->left = s->piece(s->rust, &s->from);
    if (s->left == 0) Rf_error("the serialized value is cut short");
    size_t now = s->left < n ? s->left : n;
    memcpy(to, s->from, now);
    s->from += now;
    s->left -= now;
    to += now;
    n -= now;
  }
}

static void in_bytes(R_inpstream_t st, void *to, int count) {
  stream *s = (stream *)st->data;
  size_t n = (size_t)count;
  if (n > SHORT || n > s->left) {
    take(s, to, n);
    return;
  }
  copy_short(to, s->from, n);
  s->from += n;
  s->left -= n;
}

static int in_char(R_inpstream_t st) {
  uint8_t byte;
  in_bytes(st, &byte, 1);
  return byte;
}

static SEXP serialize_body(void *data) {
  stream *s = data;
  for (R_xlen_t i = 0; i < XLENGTH(s->list); i++) {
    struct R_outpstream_st st;
    R_InitOutPStream(&st, (R_pstream_data_t)s, R_pstream_binary_format, 3, out_char, out_bytes,
                     NULL, R_NilValue);
    R_Serialize(VECTOR_ELT(s->list, i), &st);
    drain(s);
    if (!s->next(s->rust, (size_t)i)) return R_NilValue;
  }
  return R_NilValue;
}

/* A promise runs its code as soon as R looks at it, which for an element of a list is when it is taken out. R itself
 * writes promises only into environments. */
static void refuse_promises(SEXP value, int depth) {
  if (TYPEOF(value) == PROMSXP) Rf_error("it holds a promise, which would run code of whoever wrote it");
  if (TYPEOF(value) != VECSXP || depth == 0) return;
  for (R_xlen_t i = 0; i < XLENGTH(value); i++) refuse_promises(VECTOR_ELT(value, i), depth - 1);
}

static SEXP unserialize_body(void *data) {
  stream *s = data;
  for (R_xlen_t i = 0; i < XLENGTH(s->list); i++) {
    if (!s->next(s->rust, (size_t)i)) continue;
    struct R_inpstream_st st;
    s->left = 0;
    R_InitInPStream(&st, (R_pstream_data_t)s, R_pstream_any_format, in_char, in_bytes, NULL,
                    R_NilValue);
    SET_VECTOR_ELT(s->list, i, R_Unserialize(&st));
    refuse_promises(VECTOR_ELT(s->list, i), LISTS);
  }
  return R_NilValue;
}

static SEXP note(SEXP cnd, void *data) {
  stream *s = data;
  s->failed = 1;
  SEXP call = PROTECT(Rf_lang2(Rf_install("conditionMessage"), cnd));
  SEXP text = PROTECT(Rf_eval(call, R_BaseEnv));
  if (TYPEOF(text) == STRSXP && XLENGTH(text) > 0) {
    strncpy(s->message, Rf_translateCharUTF8(STRING_ELT(text, 0)), MESSAGE - 1);
  }
  UNPROTECT(2);
  return R_NilValue;
}

typedef struct {
  stream *s;
  SEXP (*body)(void *);
} guarded;

static void run(void *data) {
  guarded *g = data;
  R_tryCatchError(g->body, g->s, note, g->s);
}

/* 0 for success, 1 for an error that the message names, 2 when Ctrl-C came in between. */
static int run_guarded(stream *s, SEXP (*body)(void *)) {
  guarded g = {s, body};
  if (!R_ToplevelExec(run, &g)) return 2;
  return s->failed;
}

static stream *new_stream(SEXP list, void *rust, next_fn next, char *message) {
  stream *s = malloc(sizeof(stream));
  if (s == NULL) return NULL;
  memset(s, 0, offsetof(stream, buffer));
  s->list = list;
  s->rust = rust;
  s->next = next;
  s->message = message;
  return s;
}

/* Serializes the elements of a list one after the other into a Rust sink, which is told when one ends. */
int starburst_serialize(SEXP list, void *sink, write_fn write, next_fn next, char *message) {
  stream *s = new_stream(list, sink, next, message);
  if (s == NULL) return 1;
  s->write = write;
  int outcome = run_guarded(s, serialize_body);
  free(s);
  return outcome;
}

/* Fills a list with values read from a Rust source, which says before each whether there is one. */
int starburst_unserialize(SEXP list, void *source, piece_fn piece, ready_fn make_ready, next_fn next,
                          char *message) {
  stream *s = new_stream(list, source, next, message);
  if (s == NULL) return 1;
  s->piece = piece;
  s->make_ready = make_ready;
  int outcome = run_guarded(s, unserialize_body);
  free(s);
  return outcome;
}

static SEXP check_body(void *ignored) {
  R_CheckUserInterrupt();
  return R_NilValue;
}

/* 2 when the user has pressed Ctrl-C, 1 for an error that the message names, such as a time limit. Both
 * are taken then, and the caller's to report. */
int starburst_interrupted(char *message) {
  stream *s = new_stream(R_NilValue, NULL, NULL, message);
  if (s == NULL) return 0;
  int outcome = run_guarded(s, check_body);
  free(s);
  return outcome;
}
