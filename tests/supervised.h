/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <kcp.h>

/* For the tests of the supervisor: one with the plugin “fragile”, and what it has said.
 * KCP_TEST_FRAGILE names the plugin's file. */
typedef struct
{
  char *directory;
  char *log;               /* what the plugin writes down */
  char *crash_file, *fail_file, *once_file;
  KcpLauncher *launcher;
  KcpSupervisor *supervisor;

  GString *states;         /* a letter for each state it went through; see supervised_new() */
  GArray *delays;          /* of guint: of the signal “restarting” */
  guint restarted, failed;
  KcpExitReport *report;   /* of the last “restarting” or “failed” */
} Supervised;

/* Not started. Restarts come after a few milliseconds and without limit, unless a test sets
 * something else. The letters of states: S topped, s tarting, R unning, W aiting, - stopping, F ailed. */
Supervised *supervised_new         (KcpRestartPolicy  policy);
/* Also sees that no child and no supervisor is left. */
void        supervised_free        (Supervised       *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Supervised, supervised_free)

/* Runs the main loop until @condition holds; fails the test if it never does. */
#define WAIT_UNTIL(condition)                                                  \
  G_STMT_START {                                                               \
    guint guard_ = supervised_guard (#condition);                              \
    while (!(condition))                                                       \
      g_main_context_iteration (NULL, TRUE);                                   \
    g_source_remove (guard_);                                                  \
  } G_STMT_END
guint       supervised_guard       (const char       *what);

void        store_result           (GObject          *source,
                                    GAsyncResult     *result,
                                    gpointer          slot);
/* Each waits for its end. */
gboolean    supervised_try_start   (Supervised       *self,
                                    GError          **error);
void        supervised_start       (Supervised       *self);
void        supervised_stop        (Supervised       *self);
void        supervised_wait_for    (Supervised       *self,
                                    KcpSupervisorState state);

KcpMessage *new_message            (const char       *path,
                                    const char       *text);
/* Asks, and stores the result in @slot. */
void        supervised_ask         (Supervised       *self,
                                    const char       *path,
                                    const char       *text,
                                    GAsyncResult    **slot);
/* The text of the answer. */
char       *supervised_finish      (Supervised       *self,
                                    GAsyncResult    **slot,
                                    GError          **error);
void        supervised_expect      (Supervised       *self,
                                    GAsyncResult    **slot,
                                    const char       *text);
void        supervised_expect_error (Supervised      *self,
                                    GAsyncResult    **slot,
                                    GQuark            domain,
                                    int               code,
                                    const char       *part);

/* As a stranger would: the library knows nothing of it. */
void        supervised_kill_child  (Supervised       *self);
/* Of its own accord. */
void        supervised_crash       (Supervised       *self);
/* Waits until a process is no more, not even a zombie. */
void        wait_for_death         (int               pid);
void        supervised_expect_log  (Supervised       *self,
                                    const char       *text);
void        create_file            (const char       *file);
