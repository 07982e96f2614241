/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <kcp.h>

/* For tests with real children. Each test runs between two looks at this process:
 *
 *   descriptors · threads · children (this process is a subreaper: what a child leaves behind
 *   becomes ours) · files in the directories for sockets · warnings
 *
 * and fails if anything was added, after having waited for what ends by itself. A test program:
 *
 *   int
 *   main (int argc, char **argv)
 *   {
 *     kcp_test_init (&argc, &argv);
 *     kcp_test_add ("/room/what", test_what);
 *     return kcp_test_run ();
 *   }
 */

/* How long anything is waited for before the test fails; a machine that is slow must not reach it. */
#define KCP_TEST_PATIENCE_MS 60000

void           kcp_test_init          (int                  *argc,
                                       char               ***argv);
void           kcp_test_add           (const char           *path,
                                       void                (*func) (void));
void           kcp_test_add_data      (const char           *path,
                                       gconstpointer         data,
                                       void                (*func) (gconstpointer data));
int            kcp_test_run           (void);

/* For the test of the fixture itself: wait for this long instead. */
void           kcp_test_set_patience  (int                   milliseconds);

/* ---- files ---- */

/* All owned by the caller. Programs and broken plugins are found next to this program. */
char          *kcp_test_plugin        (const char           *name);
char          *kcp_test_bad_plugin    (const char           *name);
char          *kcp_test_program       (const char           *name);
/* A directory that goes with the test program; nothing in it is compared. */
const char    *kcp_test_directory     (void);
/* Where the sockets of the children are. */
const char    *kcp_test_runtime_directory (void);
/* Removes a directory and all that is in it. */
void           kcp_test_remove        (const char           *directory);

/* ---- waiting ---- */

/* Runs the default main context until @done says so. @what is for the failure. */
void           kcp_test_wait          (gboolean            (*done) (gpointer data),
                                       gpointer              data,
                                       const char           *what);
void           kcp_test_wait_flag     (gboolean             *flag,
                                       const char           *what);

/* Waits for the end of a process that a child has left behind, reaps it and gives its wait status. */
int            kcp_test_reap          (int                   pid);
/* The same for any one process; only when no actor or launcher has a child. */
int            kcp_test_reap_any      (int                  *pid);

/* ---- children ---- */

/* With times that suit a slow machine: only what a test sets shorter can pass. */
KcpLauncher   *kcp_test_launcher      (const char           *plugin);
/* The same for a plugin file anywhere. */
KcpLauncher   *kcp_test_launcher_for  (const char           *path);

/* Built with a sanitizer, children of this launcher look for leaks and exit with 23 if there are any.
 * Only for those that are stopped in order. */
void           kcp_test_check_leaks   (KcpLauncher          *launcher);

KcpActor      *kcp_test_spawn         (KcpLauncher          *launcher,
                                       GCancellable         *cancellable,
                                       GError              **error);
/* Spawns "misbehave" with one KEY=VALUE, or none; it must work. */
KcpActor      *kcp_test_misbehave     (const char           *key,
                                       const char           *value);

/* The answer's body as JSON text. @json: NULL for none. */
char          *kcp_test_ask           (KcpActor             *actor,
                                       const char           *path,
                                       const char           *json,
                                       GError              **error);
/* It must answer; gives the answer's body. */
JsonNode      *kcp_test_ask_node      (KcpActor             *actor,
                                       const char           *path,
                                       const char           *json);
void           kcp_test_assert_serves (KcpActor             *actor);

KcpExitReport *kcp_test_stop          (KcpActor             *actor);
KcpExitReport *kcp_test_await_exit    (KcpActor             *actor);
/* Stops it, which must go as it should, and drops it. */
void           kcp_test_end           (KcpActor             *actor);

/* A call that is under way. */
typedef struct
{
  gboolean done;
  guint completions;
  KcpMessage *answer;
  GError *error;
} KcpTestCall;

KcpTestCall   *kcp_test_call          (KcpActor             *actor,
                                       const char           *path,
                                       const char           *json,
                                       GCancellable         *cancellable);
void           kcp_test_call_wait     (KcpTestCall          *call);
void           kcp_test_call_free     (KcpTestCall          *call);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (KcpTestCall, kcp_test_call_free)

/* ---- log ---- */

/* The last 30 000 of what children have logged and printed since the test began. Nothing of it can
 * fail a test by itself. */
typedef struct
{
  GLogLevelFlags level;
  char *domain;
  char *message;
  char *plugin;
  char *pid;
  char *traceparent;
  char *stream;          /* "stdout" or "stderr" for a line it has printed; NULL: it was logged */
} KcpTestLog;

/* A message that was logged; NULL if none has @part in its text. */
const KcpTestLog *kcp_test_find_log   (const char           *part);
guint          kcp_test_count_logs    (const char           *part);
/* A line that was printed. */
const KcpTestLog *kcp_test_find_line  (const char           *part);

/* ---- expectations ---- */

void           kcp_test_assert_part   (const char           *text,
                                       const char           *part);
void           kcp_test_assert_error  (const GError         *error,
                                       GQuark                domain,
                                       int                   code,
                                       const char           *part);
