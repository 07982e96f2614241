/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-test-state.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct _KcpTestState
{
  GPtrArray *descriptors;   /* "NUMBER → TARGET" */
  GPtrArray *threads;       /* "NUMBER NAME", but for those that GLib keeps */
  GPtrArray *children;      /* "NUMBER NAME STATE" */
  GPtrArray *files;         /* paths that begin with "kcp-" */
};

static char *
read_file (const char *path)
{
  char *text = NULL;

  /* What /proc tells of may be gone by now. */
  if (!g_file_get_contents (path, &text, NULL, NULL))
    return g_strdup ("");

  return g_strchomp (text);
}

static GPtrArray *
list_descriptors (void)
{
  GPtrArray *list = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GDir) dir = g_dir_open ("/proc/self/fd", 0, NULL);
  const char *name;

  while ((name = g_dir_read_name (dir)))
    {
      g_autofree char *path = g_build_filename ("/proc/self/fd", name, NULL);
      g_autofree char *target = g_file_read_link (path, NULL);
      g_autofree char *own = g_strdup_printf ("/proc/%d/fd", (int) getpid ());

      /* Not the one that reads the directory. */
      if (target && strcmp (target, own) != 0)
        g_ptr_array_add (list, g_strdup_printf ("%s → %s", name, target));
    }

  return list;
}

/* Workers that GLib starts when it likes, and keeps. */
static gboolean
is_of_glib (const char *name)
{
  return g_str_has_prefix (name, "pool-") || g_str_equal (name, "gmain") || g_str_equal (name, "gdbus") ||
         g_str_equal (name, "dconf worker");
}

static GPtrArray *
list_threads (void)
{
  GPtrArray *list = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GDir) dir = g_dir_open ("/proc/self/task", 0, NULL);
  const char *name;

  while ((name = g_dir_read_name (dir)))
    {
      g_autofree char *path = g_build_filename ("/proc/self/task", name, "comm", NULL);
      g_autofree char *comm = read_file (path);

      if (!is_of_glib (comm))
        g_ptr_array_add (list, g_strdup_printf ("%s %s", name, comm));
    }

  return list;
}

/* Of a line of /proc/PID/stat: the parent's number, and what it is called, with its state. The
 * name may hold anything, so it is looked for from the end. */
static int
parse_stat (const char  *stat,
            char       **what)
{
  const char *open = strchr (stat, '('), *close = strrchr (stat, ')');
  int parent = 0;
  char state = '?';

  if (open == NULL || close == NULL || sscanf (close + 1, " %c %d", &state, &parent) != 2)
    return 0;

  *what = g_strdup_printf ("%.*s %c", (int) (close - open - 1), open + 1, state);
  return parent;
}

/* Own children and, since this process is a subreaper, those of dead ones. */
static GPtrArray *
list_children (void)
{
  GPtrArray *list = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GDir) dir = NULL;
  siginfo_t info = { 0 };
  const char *name;

  /* The usual case is cheap. */
  if (waitid (P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
    return list;

  dir = g_dir_open ("/proc", 0, NULL);
  while ((name = g_dir_read_name (dir)))
    {
      g_autofree char *path = g_build_filename ("/proc", name, "stat", NULL);
      g_autofree char *stat = NULL, *what = NULL;

      if (!g_ascii_isdigit (name[0]))
        continue;
      stat = read_file (path);
      if (parse_stat (stat, &what) == (int) getpid ())
        g_ptr_array_add (list, g_strdup_printf ("%s %s", name, what));
    }

  return list;
}

static void
list_files (GPtrArray  *list,
            const char *directory)
{
  g_autoptr (GDir) dir = g_dir_open (directory, 0, NULL);
  const char *name;

  while (dir && (name = g_dir_read_name (dir)))
    if (g_str_has_prefix (name, "kcp-"))
      g_ptr_array_add (list, g_build_filename (directory, name, NULL));
}

KcpTestState *
kcp_test_state_new (const char *runtime,
                    const char *temporary)
{
  KcpTestState *self = g_new0 (KcpTestState, 1);

  self->descriptors = list_descriptors ();
  self->threads = list_threads ();
  self->children = list_children ();
  self->files = g_ptr_array_new_with_free_func (g_free);
  list_files (self->files, runtime);
  list_files (self->files, temporary);
  return self;
}

void
kcp_test_state_free (KcpTestState *self)
{
  g_ptr_array_unref (self->descriptors);
  g_ptr_array_unref (self->threads);
  g_ptr_array_unref (self->children);
  g_ptr_array_unref (self->files);
  g_free (self);
}

static void
add_new (GString    *text,
         const char *what,
         GPtrArray  *before,
         GPtrArray  *now)
{
  for (guint i = 0; i < now->len; i++)
    if (!g_ptr_array_find_with_equal_func (before, now->pdata[i], g_str_equal, NULL))
      g_string_append_printf (text, "%s%s %s", text->len > 0 ? "; " : "", what, (char *) now->pdata[i]);
}

char *
kcp_test_state_compare (KcpTestState *before,
                        KcpTestState *now)
{
  GString *text = g_string_new (NULL);

  add_new (text, "descriptor", before->descriptors, now->descriptors);
  add_new (text, "thread", before->threads, now->threads);
  add_new (text, "child", before->children, now->children);
  add_new (text, "file", before->files, now->files);

  return g_string_free (text, text->len == 0);
}

void
kcp_test_state_end_children (void)
{
  g_autoptr (GPtrArray) children = list_children ();

  for (guint i = 0; i < children->len; i++)
    {
      int pid = atoi (children->pdata[i]);

      kill (pid, SIGKILL);
      waitpid (pid, NULL, 0);
    }
}
