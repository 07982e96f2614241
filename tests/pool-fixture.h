/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <kcp.h>

/* For the tests of the pool: real children of tests/plugins/worker.c, which KCP_TEST_WORKER names. */

/* Waits in the main loop; a test that waits for a minute has failed. */
#define POOL_WAIT(condition) \
  G_STMT_START { guint guard = pool_guard (#condition, __LINE__); \
                 while (!(condition)) g_main_context_iteration (NULL, TRUE); \
                 g_source_remove (guard); } G_STMT_END

guint        pool_guard        (const char    *what,
                                int            line);
/* Wakes the loop now and then, for what has no event. */
guint        pool_tick         (void);

/* What must hold for the list at every signal; its own copy of it is kept up to date by the
 * signals alone. */
typedef struct
{
  GListModel *list;
  GPtrArray *copy;
  guint signals;
} PoolMirror;

void         pool_mirror_init  (PoolMirror    *self,
                                KcpPool       *pool);
void         pool_mirror_clear (PoolMirror    *self);

/* Keys and values of the configuration, ended by NULL. */
KcpLauncher *pool_launcher     (const char    *key,
                                ...) G_GNUC_NULL_TERMINATED;
/* One that runs, with all of @min ready. */
KcpPool     *pool_running      (KcpLauncher   *launcher,
                                guint          min,
                                guint          max);
gboolean     pool_start        (KcpPool       *pool,
                                GError       **error);
gboolean     pool_replace      (KcpPool       *pool,
                                KcpLauncher   *next,
                                GError       **error);
/* Which must go well. Takes @pool; after it no child of this program is left. */
void         pool_end          (KcpPool       *pool);
gboolean     pool_no_children  (void);

KcpMessage  *pool_message      (const char    *path,
                                gint64         number);
/* The answer of the pool, or NULL with an error. */
KcpMessage  *pool_ask          (KcpPool       *pool,
                                KcpMessage    *message,
                                const char    *key,
                                GError       **error);
/* The pid of who has answered, which must go well. */
int          pool_who          (KcpPool       *pool,
                                const char    *key);
gint64       pool_get_int      (KcpMessage    *answer,
                                const char    *member);
const char  *pool_get_generation (KcpMessage  *answer);
KcpActor    *pool_actor        (KcpPool       *pool,
                                guint          index);
/* Asks one child itself. */
void         pool_release      (KcpActor      *actor);

/* A result to wait for. */
void         pool_result       (GObject       *source,
                                GAsyncResult  *result,
                                gpointer       slot);

/* ---- many calls ---- */

/* Keeps so many calls of “note” under way until all ids have been used. */
typedef struct
{
  KcpPool *pool;
  guint total, at_once;
  gboolean idempotent;
  guint next, done, failed;
  guint8 *answers;               /* for each id */
  GHashTable *pids;              /* that have answered */
  GHashTable *generations;
  void (*progress) (gpointer data);
  gpointer data;
} PoolLoad;

void         pool_load_begin   (PoolLoad      *self);
void         pool_load_clear   (PoolLoad      *self);
/* Every id was answered once. */
void         pool_load_check   (PoolLoad      *self);
/* Every id is in the file, and once. */
void         pool_log_check    (const char    *file,
                                guint          total);
