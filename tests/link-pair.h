/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-error.h"
#include "kcp-link-private.h"

/* Two links in one process, joined by socket pairs; or one link whose other end is a pair of
 * bare sockets, on which a test writes the bytes it likes. */

/* ---- waiting ---- */

/* Nothing in these tests waits for a time to pass: they wait for what they wait for, and a guard
 * that is far too generous for any machine ends a test that would wait for ever. */
#define GUARD_SECONDS 60

guint    guard_start (GMainContext *context,
                      const char   *where,
                      const char   *what);
void     guard_stop  (GMainContext *context,
                      guint         id);

#define WAIT_FOR(condition) WAIT_FOR_IN (NULL, condition)
#define WAIT_FOR_IN(context, condition)                                    \
  G_STMT_START                                                             \
  {                                                                        \
    guint guard_ = guard_start (context, G_STRLOC, #condition);            \
    while (!(condition))                                                   \
      g_main_context_iteration (context, TRUE);                            \
    guard_stop (context, guard_);                                          \
  }                                                                        \
  G_STMT_END

/* Whatever is ready in the default context now. */
void     settle      (void);

/* ---- messages ---- */

KcpMessage *text_message   (const char     *path,
                            const char     *json) G_GNUC_WARN_UNUSED_RESULT;
/* The bytes of the body as a string. */
char       *message_text   (KcpMessage     *message) G_GNUC_WARN_UNUSED_RESULT;
void        assert_message (KcpMessage     *message,
                            const char     *json);
void        reply_text     (KcpInvocation  *invocation,
                            const char     *json);
char       *invocation_text (KcpInvocation *invocation) G_GNUC_WARN_UNUSED_RESULT;

/* ---- links ---- */

typedef struct _TestSide TestSide;

typedef void (*TestHandler) (TestSide      *side,
                             KcpInvocation *invocation);

/* One link and what it tells its owner. */
struct _TestSide
{
  KcpLink *link;
  TestHandler handler;       /* NULL: keep each */
  gpointer data;
  GPtrArray *kept;           /* of KcpInvocation: those without an answer yet */
  GPtrArray *frames;         /* of char *: "KIND body" */
  guint invoked, lost, drained;
  gboolean unresponsive;
  guint turns;               /* of unresponsive */
  gboolean close_when_lost;
  GError *lost_error;        /* the first one */
};

typedef struct
{
  TestSide host, child;
} LinkPair;

void     make_sockets    (GSocketConnection **ours,
                          GSocketConnection **theirs);
void     side_init       (TestSide           *side,
                          KcpLinkSide         which,
                          GSocketConnection  *request,
                          GSocketConnection  *callback,
                          const KcpTerms     *terms,
                          GMainContext       *context);
/* Closes the link as well, if it is open. */
void     side_clear      (TestSide           *side);
void     side_close      (TestSide           *side);
/* Takes the first kept invocation. */
KcpInvocation *side_take (TestSide           *side) G_GNUC_WARN_UNUSED_RESULT;

LinkPair *link_pair_new  (gsize               frame_limit);
void      link_pair_free (LinkPair           *pair);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (LinkPair, link_pair_free)

/* ---- a child in a thread of its own, for hosts that block ---- */

typedef struct
{
  TestSide host;             /* attached to the default context of the test's thread */
  TestSide child;            /* only for its own thread once that runs */
  GMainContext *context;
  GThread *thread;
  int quit;                  /* atomic */
  GSocketConnection *child_request, *child_callback;
  GMutex lock;
  GCond started;
  gboolean running;
} ThreadPair;

ThreadPair *thread_pair_new  (TestHandler   child_handler);
void        thread_pair_free (ThreadPair   *pair);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (ThreadPair, thread_pair_free)

/* ---- one link and bare sockets ---- */

typedef struct
{
  TestSide side;
  GSocketConnection *request, *callback;         /* the bare ends */
  int fds[2];                                    /* theirs, by KcpSocketRole */
  KcpFrameReader *readers[2];
} RawPair;

RawPair *raw_pair_new    (KcpLinkSide         which,
                          gsize               frame_limit);
void     raw_pair_free   (RawPair            *pair);
void     raw_send_bytes  (RawPair            *pair,
                          KcpSocketRole       socket,
                          gconstpointer       bytes,
                          gsize               length);
void     raw_send        (RawPair            *pair,
                          KcpSocketRole       socket,
                          KcpFrameKind        kind,
                          guint64             id,
                          const KcpFields    *fields,
                          const char         *body);
/* The frame as bytes, to be spoiled and sent with raw_send_bytes(). */
GByteArray *raw_frame    (KcpFrameKind        kind,
                          guint64             id,
                          const KcpFields    *fields,
                          const char         *body);
/* The next frame of the link, for which the main loop runs; clear it. */
void     raw_expect      (RawPair            *pair,
                          KcpSocketRole       socket,
                          KcpFrameKind        kind,
                          KcpFrame           *frame);
/* That nothing is there, now. */
void     raw_expect_none (RawPair            *pair,
                          KcpSocketRole       socket);

#define CALL_FIELDS(path_) ((KcpFields) {                              \
    .present = KCP_FIELD_BIT (KCP_FIELD_PATH),                         \
    .path = (path_), .path_length = (guint16) strlen (path_) })

G_DEFINE_AUTOPTR_CLEANUP_FUNC (RawPair, raw_pair_free)

/* ---- answers ---- */

/* What came back from a call; the callback is take_answer(). */
typedef struct
{
  guint count;               /* how often the callback was called */
  KcpMessage *message;
  GError *error;
  gboolean cleared;          /* the test is over; links that go after it still end its calls */
} Answer;

void     take_answer     (GObject            *source,
                          GAsyncResult       *result,
                          gpointer            answer);
void     answer_clear    (Answer             *answer);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Answer, answer_clear)

void     ask             (TestSide           *side,
                          const char         *path,
                          const char         *json,
                          GCancellable       *cancellable,
                          Answer             *answer);
