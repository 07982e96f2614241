/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-error.h"
#include "kcp-link-private.h"

#include <gio/gunixfdlist.h>

/* For the tests of descriptors: links in one process, and a look at what it has open. */

#define GUARD_SECONDS 60

/* Runs the main loop until @condition is true. */
#define WAIT_FOR(condition)                                                    \
  G_STMT_START                                                                 \
  {                                                                            \
    guint guard_ = g_timeout_add_seconds (GUARD_SECONDS, guard_passed, (gpointer) G_STRLOC); \
    while (!(condition))                                                       \
      g_main_context_iteration (NULL, TRUE);                                   \
    g_source_remove (guard_);                                                  \
  }                                                                            \
  G_STMT_END

gboolean guard_passed (gpointer where);

/* ---- what is open ---- */

/* One line for each descriptor but those that do not matter: what it is, in no order that
 * matters. Two of them are equal if the same files are open as often. */
char    *list_descriptors (void) G_GNUC_WARN_UNUSED_RESULT;

/* At both ends of a test: nothing that was opened in between is left. */
#define LEAK_CHECK_BEGIN g_autofree char *open_before_ = list_descriptors ()
#define LEAK_CHECK_END                                                         \
  G_STMT_START                                                                 \
  {                                                                            \
    g_autofree char *open_after_ = NULL;                                       \
    while (g_main_context_iteration (NULL, FALSE))                             \
      ;                                                                        \
    open_after_ = list_descriptors ();                                         \
    g_assert_cmpstr (open_after_, ==, open_before_);                           \
  }                                                                            \
  G_STMT_END

/* A memory file that holds @text, open for sealing; to be closed. */
int      make_file       (const char *text);
/* A message with @count of them, which hold "@name 0", "@name 1" … */
KcpMessage *make_message (const char *path,
                          const char *name,
                          guint       count) G_GNUC_WARN_UNUSED_RESULT;
/* That @message has @count descriptors that hold just that. */
void     check_message   (KcpMessage *message,
                          const char *name,
                          guint       count);

/* ---- links ---- */

typedef struct _Side Side;

struct _Side
{
  KcpLink *link;
  void (*handler) (Side *side, KcpInvocation *invocation);   /* NULL: keep each */
  GPtrArray *kept;          /* of KcpInvocation */
  gboolean ended;
  GError *lost;             /* the first one */
};

typedef struct
{
  Side host, child;
} Pair;

void     make_sockets    (GSocketConnection **ours,
                          GSocketConnection **theirs);
void     side_init       (Side               *side,
                          KcpLinkSide         which,
                          GSocketConnection  *request,
                          GSocketConnection  *callback,
                          gboolean            fds);
void     side_close      (Side               *side);
void     side_clear      (Side               *side);
Pair    *pair_new        (gboolean            fds);
void     pair_free       (Pair               *pair);
/* Tells the child so much that the rest waits in this process: nobody reads while the main loop
 * stands. Two pieces leave room in the writer, five none. */
void     fill_socket     (Pair               *pair,
                          guint               pieces);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Pair, pair_free)

/* ---- answers ---- */

typedef struct
{
  gboolean done;
  KcpMessage *message;
  GError *error;
} Answer;

/* @message is taken. */
void     ask             (Side               *side,
                          KcpMessage         *message,
                          GCancellable       *cancellable,
                          Answer             *answer);
void     answer_clear    (Answer             *answer);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Answer, answer_clear)
