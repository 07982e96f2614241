/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-test.h"
#include "kcp-test-state.h"

#include <errno.h>
#include <glib-unix.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* The frame around each test; what can be found in this process is in kcp-test-state.c, what is
 * done with children in kcp-test-child.c. */

#define MAX_LOGS 30000

static struct
{
  char *program_dir;
  char *directory;         /* private; holds the two below */
  char *runtime;
  char *temporary;
  int patience;
  GMutex log_lock;
  GQueue logs;             /* of KcpTestLog, guarded by log_lock */
} fixture;

typedef struct
{
  void (*plain) (void);
  void (*with_data) (gconstpointer data);
  gconstpointer data;
} Test;

/* ---- log ---- */

static void
free_log (gpointer data)
{
  KcpTestLog *log = data;

  g_free (log->domain);
  g_free (log->message);
  g_free (log->plugin);
  g_free (log->pid);
  g_free (log->traceparent);
  g_free (log->stream);
  g_free (log);
}

static char *
copy_field (const GLogField *fields,
            gsize            count,
            const char      *key)
{
  for (gsize i = 0; i < count; i++)
    if (strcmp (fields[i].key, key) == 0)
      return fields[i].length < 0 ? g_strdup (fields[i].value)
                                  : g_strndup (fields[i].value, (gsize) fields[i].length);

  return NULL;
}

/* What a plugin says is kept; what this program says goes the usual way, and ends the test if it
 * is a warning or worse. */
static GLogWriterOutput
write_log (GLogLevelFlags   level,
           const GLogField *fields,
           gsize            count,
           gpointer         data)
{
  g_autofree char *plugin = copy_field (fields, count, "KCP_PLUGIN");
  KcpTestLog *log;

  if (plugin == NULL)
    return g_log_writer_default (level, fields, count, data);

  log = g_new0 (KcpTestLog, 1);
  log->level = level;
  log->domain = copy_field (fields, count, "GLIB_DOMAIN");
  log->message = copy_field (fields, count, "MESSAGE");
  log->plugin = g_steal_pointer (&plugin);
  log->pid = copy_field (fields, count, "KCP_PID");
  log->traceparent = copy_field (fields, count, "KCP_TRACEPARENT");
  log->stream = copy_field (fields, count, "KCP_STREAM");

  g_mutex_lock (&fixture.log_lock);
  g_queue_push_tail (&fixture.logs, log);
  if (fixture.logs.length > MAX_LOGS)
    free_log (g_queue_pop_head (&fixture.logs));
  g_mutex_unlock (&fixture.log_lock);
  return G_LOG_WRITER_HANDLED;
}

/* The first one whose text has @part, and how many there are. */
static const KcpTestLog *
find (const char *part,
      gboolean    printed,
      guint      *count)
{
  const KcpTestLog *found = NULL;

  g_mutex_lock (&fixture.log_lock);
  for (GList *l = fixture.logs.head; l; l = l->next)
    {
      const KcpTestLog *log = l->data;

      if ((log->stream != NULL) != printed || strstr (log->message, part) == NULL)
        continue;
      if (found == NULL)
        found = log;
      (*count)++;
    }
  g_mutex_unlock (&fixture.log_lock);
  return found;
}

const KcpTestLog *
kcp_test_find_log (const char *part)
{
  guint count = 0;

  return find (part, FALSE, &count);
}

guint
kcp_test_count_logs (const char *part)
{
  guint count = 0;

  find (part, FALSE, &count);
  return count;
}

const KcpTestLog *
kcp_test_find_line (const char *part)
{
  guint count = 0;

  return find (part, TRUE, &count);
}

static void
forget_logs (void)
{
  g_mutex_lock (&fixture.log_lock);
  g_queue_clear_full (&fixture.logs, free_log);
  g_mutex_unlock (&fixture.log_lock);
}

/* ---- waiting ---- */

void
kcp_test_set_patience (int milliseconds)
{
  fixture.patience = milliseconds;
}

static gboolean
on_tick (gpointer data)
{
  return G_SOURCE_CONTINUE;
}

/* Some ends have no event of their own (a thread's, a stranger's process): a tick makes the loop
 * look again. FALSE: patience has run out. */
static gboolean
wait_patiently (gboolean (*done) (gpointer data),
                gpointer   data)
{
  gint64 until = g_get_monotonic_time () + (gint64) fixture.patience * 1000;
  guint tick = g_timeout_add (10, on_tick, NULL);
  gboolean met;

  while (!(met = done (data)) && g_get_monotonic_time () < until)
    g_main_context_iteration (NULL, TRUE);

  g_source_remove (tick);
  return met;
}

void
kcp_test_wait (gboolean   (*done) (gpointer data),
               gpointer     data,
               const char  *what)
{
  if (!wait_patiently (done, data))
    g_error ("still waiting after %d ms for: %s", fixture.patience, what);
}

static gboolean
flag_is_set (gpointer data)
{
  return *(gboolean *) data;
}

void
kcp_test_wait_flag (gboolean   *flag,
                    const char *what)
{
  kcp_test_wait (flag_is_set, flag, what);
}

typedef struct
{
  int asked, pid, status;
} Reaping;

static gboolean
try_to_reap (gpointer data)
{
  Reaping *reaping = data;

  reaping->pid = waitpid (reaping->asked, &reaping->status, WNOHANG);
  return reaping->pid > 0;
}

int
kcp_test_reap (int pid)
{
  Reaping reaping = { .asked = pid };
  g_autofree char *what = g_strdup_printf ("the end of process %d", pid);

  kcp_test_wait (try_to_reap, &reaping, what);
  return reaping.status;
}

int
kcp_test_reap_any (int *pid)
{
  Reaping reaping = { .asked = -1 };

  kcp_test_wait (try_to_reap, &reaping, "the end of any process");
  if (pid)
    *pid = reaping.pid;
  return reaping.status;
}

/* ---- the frame ---- */

typedef struct
{
  KcpTestState *before;
  char *difference;      /* NULL: none */
} Comparison;

static gboolean
is_as_before (gpointer data)
{
  Comparison *comparison = data;
  g_autoptr (KcpTestState) now = kcp_test_state_new (fixture.runtime, fixture.temporary);

  g_free (comparison->difference);
  comparison->difference = kcp_test_state_compare (comparison->before, now);
  return comparison->difference == NULL;
}

static void
run_test (gconstpointer data)
{
  const Test *test = data;
  g_autoptr (KcpTestState) before = kcp_test_state_new (fixture.runtime, fixture.temporary);
  Comparison comparison = { before, NULL };

  forget_logs ();

  if (test->plain)
    test->plain ();
  else
    test->with_data (test->data);

  if (!wait_patiently (is_as_before, &comparison))
    {
      g_printerr ("left behind: %s\n", comparison.difference);
      g_test_fail ();
      kcp_test_state_end_children ();
    }
  g_free (comparison.difference);
}

/* Kept here and not by GLib, which frees only what it has run. */
static Test *
new_test (void)
{
  static GSList *tests;

  tests = g_slist_prepend (tests, g_new0 (Test, 1));
  return tests->data;
}

void
kcp_test_add (const char  *path,
              void       (*func) (void))
{
  Test *test = new_test ();

  test->plain = func;
  g_test_add_data_func (path, test, run_test);
}

void
kcp_test_add_data (const char     *path,
                   gconstpointer   data,
                   void          (*func) (gconstpointer data))
{
  Test *test = new_test ();

  test->with_data = func;
  test->data = data;
  g_test_add_data_func (path, test, run_test);
}

/* ---- the program ---- */

static void
make_directories (void)
{
  g_autoptr (GError) error = NULL;
  const char *parent = g_getenv ("TMPDIR");

  /* Not g_get_tmp_dir(), which would remember. Not "kcp-", which belongs to the library. */
  fixture.directory = g_build_filename (parent ? parent : "/tmp", "kt-XXXXXX", NULL);
  if (g_mkdtemp (fixture.directory) == NULL)
    g_error ("cannot make %s: %s", fixture.directory, g_strerror (errno));

  fixture.runtime = g_build_filename (fixture.directory, "r", NULL);
  fixture.temporary = g_build_filename (fixture.directory, "t", NULL);
  g_assert_cmpint (g_mkdir (fixture.runtime, 0700), ==, 0);
  g_assert_cmpint (g_mkdir (fixture.temporary, 0700), ==, 0);
  g_setenv ("XDG_RUNTIME_DIR", fixture.runtime, TRUE);
  g_setenv ("TMPDIR", fixture.temporary, TRUE);
}

static void
find_programs (void)
{
  g_autofree char *self = g_file_read_link ("/proc/self/exe", NULL);
  g_autofree char *stub = NULL;

  fixture.program_dir = g_path_get_dirname (self);
  stub = g_build_filename (fixture.program_dir, "..", "host", "kcp-child", NULL);
  g_setenv ("KCP_STUB", stub, FALSE);
}

void
kcp_test_init (int    *argc,
               char ***argv)
{
  fixture.patience = KCP_TEST_PATIENCE_MS;
  make_directories ();
  find_programs ();
  g_test_init (argc, argv, NULL);
  /* Set: what children log takes the way that it takes in any program. */
  if (g_getenv ("KCP_TEST_PLAIN_LOG") == NULL)
    g_log_set_writer_func (write_log, NULL, NULL);
  if (prctl (PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0)
    g_error ("no subreaper: %s", g_strerror (errno));
}

static void
do_nothing (GTask        *task,
            gpointer      source,
            gpointer      data,
            GCancellable *cancellable)
{
  g_task_return_boolean (task, TRUE);
}

static gboolean
on_signal (gpointer data)
{
  return G_SOURCE_CONTINUE;
}

/* What GLib starts once and keeps is there before anything is compared. */
static void
warm_up (void)
{
  g_autoptr (GTask) task = g_task_new (NULL, NULL, NULL, NULL);
  guint signal_source = g_unix_signal_add (SIGUSR2, on_signal, NULL);

  g_task_run_in_thread_sync (task, do_nothing);
  g_source_remove (signal_source);
  while (g_main_context_iteration (NULL, FALSE))
    ;
}

int
kcp_test_run (void)
{
  int status;

  warm_up ();
  status = g_test_run ();

  kcp_test_remove (fixture.directory);
  g_clear_pointer (&fixture.directory, g_free);
  g_clear_pointer (&fixture.runtime, g_free);
  g_clear_pointer (&fixture.temporary, g_free);
  g_clear_pointer (&fixture.program_dir, g_free);
  forget_logs ();
  return status;
}

/* ---- files ---- */

const char *
kcp_test_directory (void)
{
  return fixture.directory;
}

const char *
kcp_test_runtime_directory (void)
{
  return fixture.runtime;
}

static char *
in_directory (const char *variable,
              const char *fallback,
              const char *name)
{
  const char *directory = g_getenv (variable);
  g_autofree char *file = g_strconcat (name, ".so", NULL);
  g_autofree char *other = g_build_filename (fixture.program_dir, fallback, NULL);

  return g_build_filename (directory ? directory : other, file, NULL);
}

char *
kcp_test_plugin (const char *name)
{
  return in_directory ("KCP_TEST_PLUGINS", "../plugins", name);
}

char *
kcp_test_bad_plugin (const char *name)
{
  return in_directory ("KCP_TEST_BAD_PLUGINS", "plugins", name);
}

char *
kcp_test_program (const char *name)
{
  return g_build_filename (fixture.program_dir, name, NULL);
}

void
kcp_test_remove (const char *directory)
{
  g_autoptr (GDir) dir = g_dir_open (directory, 0, NULL);
  const char *name;

  while (dir && (name = g_dir_read_name (dir)))
    {
      g_autofree char *path = g_build_filename (directory, name, NULL);

      if (g_file_test (path, G_FILE_TEST_IS_DIR) && !g_file_test (path, G_FILE_TEST_IS_SYMLINK))
        kcp_test_remove (path);
      else
        g_unlink (path);
    }
  g_rmdir (directory);
}

/* ---- expectations ---- */

void
kcp_test_assert_part (const char *text,
                      const char *part)
{
  if (text == NULL || strstr (text, part) == NULL)
    g_error ("“%s” is not in “%s”", part, text ? text : "(null)");
}

void
kcp_test_assert_error (const GError *error,
                       GQuark        domain,
                       int           code,
                       const char   *part)
{
  g_assert_nonnull (error);
  g_test_message ("%s", error->message);
  if (!g_error_matches (error, domain, code))
    g_error ("expected %s %d, got %s %d: %s", g_quark_to_string (domain), code,
             g_quark_to_string (error->domain), error->code, error->message);
  if (part)
    kcp_test_assert_part (error->message, part);
}
