/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The connection, the thread that works with it, and how a statement is ended early.
 *
 * Statements run one after the other in a thread of their own, so the child's main loop stays
 * free: it takes the cancellation of a statement while that statement runs.
 */
#include "database.h"

/* How long another process may keep the database locked. */
#define BUSY_LIMIT (5 * G_USEC_PER_SEC)

/* Steps of SQLite's virtual machine between two looks at the cancellable: well under a
 * millisecond, and too many to be felt. */
#define STEPS_PER_LOOK 4096

struct _Database
{
  sqlite3 *db;
  GThreadPool *pool;    /* one thread; Job, in the order of the calls */

  int closing;          /* atomic: set by the main thread, read by the worker */

  /* Of the worker thread alone. */
  KcpInvocation *serving;
  gint64 busy_since;
};

typedef struct
{
  KcpInvocation *invocation;
  DatabaseFunc func;
} Job;

/* ---- ending a statement early ---- */

/* Whether anybody waits for what the worker does; if not, why. A deadline that passes comes as a
 * cancellation too, since the main thread is free to see it. */
static gboolean
check_wanted (Database  *self,
              GError   **error)
{
  if (g_atomic_int_get (&self->closing))
    {
      g_set_error_literal (error, KCP_ERROR, KCP_ERROR_STOPPING, "the database is being closed");
      return FALSE;
    }

  return self->serving == NULL ||
         !g_cancellable_set_error_if_cancelled (kcp_invocation_get_cancellable (self->serving), error);
}

/* Called by SQLite in the middle of a statement; anything but 0 ends it with SQLITE_INTERRUPT.
 * This, and not sqlite3_interrupt() alone, because an interrupt that comes just before the
 * statement begins is lost. */
static int
progress_cb (gpointer user_data)
{
  return !check_wanted (user_data, NULL);
}

/* Called in the thread that cancels. It reaches the statement where progress_cb() is not asked, such
 * as in the middle of a big sort. */
static void
cancelled_cb (GCancellable *cancellable,
              gpointer      db)
{
  sqlite3_interrupt (db);
}

/* Called when another process has the lock; 0 gives up with SQLITE_BUSY. SQLite's own busy timeout
 * cannot be interrupted. */
static int
busy_cb (gpointer user_data,
         int      tries)
{
  Database *self = user_data;
  gint64 now = g_get_monotonic_time ();

  if (tries == 0)
    self->busy_since = now;

  if (now - self->busy_since >= BUSY_LIMIT || !check_wanted (self, NULL))
    return 0;

  g_usleep (MIN (tries + 1, 10) * 1000);
  return 1;
}

/* ---- the worker ---- */

static void
job_run (gpointer data,
         gpointer user_data)
{
  g_autofree Job *job = data;
  Database *self = user_data;
  g_autoptr(KcpInvocation) invocation = job->invocation;
  GCancellable *cancellable = kcp_invocation_get_cancellable (invocation);
  GError *error = NULL;
  gulong handler;

  self->serving = invocation;
  handler = g_cancellable_connect (cancellable, G_CALLBACK (cancelled_cb), self->db, NULL);

  if (check_wanted (self, &error) && !job->func (self->db, invocation, &error))
    {
      g_autoptr(GError) reason = NULL;

      /* "interrupted" is true but of little use when we know by whom. */
      if (!check_wanted (self, &reason))
        {
          g_clear_error (&error);
          error = g_steal_pointer (&reason);
        }
    }

  /* Waits for a cancelled_cb() that is running, so none can hit the next statement. */
  g_cancellable_disconnect (cancellable, handler);
  self->serving = NULL;

  if (error)
    kcp_invocation_take_error (invocation, error);
}

/* Serves @invocation with @func in the worker thread, after those that came before. */
void
database_push (Database      *self,
               KcpInvocation *invocation,
               DatabaseFunc   func)
{
  Job *job = g_new0 (Job, 1);

  job->invocation = kcp_invocation_ref (invocation);
  job->func = func;

  /* Cannot fail: the thread of an exclusive pool is there from the beginning. */
  g_thread_pool_push (self->pool, job, NULL);
}

/* ---- opening and closing ---- */

static gboolean
configure_connection (Database  *self,
                      gboolean   writable,
                      GError   **error)
{
  sqlite3_extended_result_codes (self->db, 1);
  sqlite3_busy_handler (self->db, busy_cb, self);
  sqlite3_progress_handler (self->db, STEPS_PER_LOOK, progress_cb, self);

  /* SQL comes from outside and the file may, too. */
  sqlite3_db_config (self->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
  sqlite3_db_config (self->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
  sqlite3_db_config (self->db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, NULL);

  /* Read-only is a property of the file that was opened: VACUUM INTO would still write another. It
   * attaches what it writes to. */
  if (!writable)
    sqlite3_limit (self->db, SQLITE_LIMIT_ATTACHED, 0);

  /* Opening only looks for the file; the first read tells whether it is a database. It also loads the
   * schema, without which a misspelt name would be reported as a schema that has changed. */
  if (sqlite3_exec (self->db, "SELECT 1 FROM sqlite_schema LIMIT 1", NULL, NULL, NULL) != SQLITE_OK)
    return error_take_last (self->db, NULL, error);

  return TRUE;
}

/* Opens @file; where it is @writable it is made if it is not there. */
Database *
database_open (const char  *file,
               gboolean     writable,
               GError     **error)
{
  Database *self = g_new0 (Database, 1);
  int flags = writable ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY;

  /* On a failure too there is a handle, which has the error and is to be closed. */
  if (sqlite3_open_v2 (file, &self->db, flags | SQLITE_OPEN_FULLMUTEX, NULL) != SQLITE_OK)
    error_take_last (self->db, NULL, error);
  else if (configure_connection (self, writable, error))
    self->pool = g_thread_pool_new (job_run, self, 1, TRUE, error);

  if (self->pool == NULL)
    {
      g_prefix_error (error, "“%s”: ", file);
      database_close (self);
      return NULL;
    }

  return self;
}

/* Ends what is running, fails what is waiting, and closes the file. */
void
database_close (Database *self)
{
  int code;

  if (self->pool)
    {
      g_atomic_int_set (&self->closing, 1);
      sqlite3_interrupt (self->db);
      g_thread_pool_free (self->pool, FALSE, TRUE);
    }

  /* SQLITE_BUSY would mean a statement that nobody finalised. */
  code = sqlite3_close (self->db);
  if (code != SQLITE_OK)
    g_warning ("the database did not close: %s", sqlite3_errstr (code));

  g_free (self);
}
