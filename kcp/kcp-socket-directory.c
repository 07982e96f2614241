/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-socket-directory-private.h"

#include "kcp-error.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define PREFIX "kcp-"
#define LOCK "lock"
/* Room for "/", a 32-bit number and a suffix. */
#define NAME_ROOM 16
#define PATH_LIMIT (sizeof (((struct sockaddr_un *) 0)->sun_path) - 1)
/* A directory without a lock file is in the making, unless it is older than this. */
#define YOUNG_SECONDS 60

struct _KcpSocketDirectory
{
  int ref_count;    /* guarded by the lock below */
  pid_t pid;
  char *path;
  int lock_fd;
  guint next;
};

G_LOCK_DEFINE_STATIC (current);
static KcpSocketDirectory *current;

/* ---- sweeping ---- */

/* Whether we name our files like that: the lock, and sockets that are a number and a letter. */
static gboolean
is_ours (const char *name)
{
  gsize digits = strspn (name, "0123456789");

  return strcmp (name, LOCK) == 0 ||
         (digits > 0 && (name[digits] == 'r' || name[digits] == 'c') && name[digits + 1] == '\0');
}

/* Only the files that we make; anything else stays, and with it the directory. The name of a
 * directory proves nothing, and a foreign host may keep its sockets next to its papers. */
static void
remove_directory (int         fd,
                  const char *path)
{
  DIR *dir = fdopendir (dup (fd));
  struct dirent *entry;

  if (dir == NULL)
    return;

  while ((entry = readdir (dir)))
    if (is_ours (entry->d_name))
      unlinkat (fd, entry->d_name, 0);
  closedir (dir);
  rmdir (path);
}

gboolean
kcp_socket_directory_sweep_one (const char *path)
{
  int fd = open (path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  int lock;
  struct stat st;
  gboolean dead;

  if (fd < 0)
    return FALSE;

  if (fstat (fd, &st) < 0 || st.st_uid != geteuid ())
    {
      close (fd);
      return FALSE;
    }

  lock = openat (fd, LOCK, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
  if (lock >= 0)
    dead = flock (lock, LOCK_EX | LOCK_NB) == 0;
  else
    dead = errno == ENOENT && time (NULL) - st.st_mtime > YOUNG_SECONDS;

  if (dead)
    remove_directory (fd, path);
  if (lock >= 0)
    close (lock);
  close (fd);
  return dead;
}

static void
sweep (const char *parent)
{
  g_autoptr (GDir) dir = g_dir_open (parent, 0, NULL);
  const char *name;

  while (dir && (name = g_dir_read_name (dir)))
    if (g_str_has_prefix (name, PREFIX))
      {
        g_autofree char *path = g_build_filename (parent, name, NULL);

        kcp_socket_directory_sweep_one (path);
      }
}

/* ---- making ---- */

static gboolean
lock_it (const char *path,
         int        *lock_fd)
{
  g_autofree char *lock = g_build_filename (path, LOCK, NULL);
  struct stat by_fd, by_path;
  int fd = open (lock, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

  if (fd < 0)
    return FALSE;

  /* A sweeper may have been faster between open and flock: then the file is not there any more. */
  if (flock (fd, LOCK_EX | LOCK_NB) == 0 && fstat (fd, &by_fd) == 0 && stat (lock, &by_path) == 0 &&
      by_fd.st_ino == by_path.st_ino && by_fd.st_dev == by_path.st_dev)
    {
      *lock_fd = fd;
      return TRUE;
    }

  close (fd);
  return FALSE;
}

static KcpSocketDirectory *
make_in (const char  *parent,
         GError     **error)
{
  gsize length = strlen (parent) + strlen ("/" PREFIX "XXXXXX") + NAME_ROOM;

  if (length > PATH_LIMIT)
    {
      g_set_error (error, KCP_ERROR, KCP_ERROR_SPAWN_FAILED,
                   "a socket in %s would have a path of %" G_GSIZE_FORMAT " bytes, the limit is %" G_GSIZE_FORMAT
                   ": set XDG_RUNTIME_DIR or TMPDIR to a shorter directory",
                   parent, length, (gsize) PATH_LIMIT);
      return NULL;
    }

  sweep (parent);

  for (int i = 0; i < 8; i++)
    {
      g_autofree char *path = g_build_filename (parent, PREFIX "XXXXXX", NULL);
      int lock_fd;

      if (g_mkdtemp_full (path, 0700) == NULL)
        {
          g_set_error (error, KCP_ERROR, KCP_ERROR_SPAWN_FAILED,
                       "cannot make a directory for sockets in %s: %s", parent, g_strerror (errno));
          return NULL;
        }

      if (lock_it (path, &lock_fd))
        {
          KcpSocketDirectory *self = g_new0 (KcpSocketDirectory, 1);

          self->ref_count = 1;
          self->pid = getpid ();
          self->path = g_steal_pointer (&path);
          self->lock_fd = lock_fd;
          return self;
        }
      rmdir (path);
    }

  g_set_error (error, KCP_ERROR, KCP_ERROR_SPAWN_FAILED, "cannot lock a directory for sockets in %s", parent);
  return NULL;
}

static KcpSocketDirectory *
make (GError **error)
{
  const char *runtime = g_getenv ("XDG_RUNTIME_DIR");
  KcpSocketDirectory *self;

  if (runtime && g_path_is_absolute (runtime) && (self = make_in (runtime, NULL)))
    return self;

  return make_in (g_get_tmp_dir (), error);
}

KcpSocketDirectory *
kcp_socket_directory_get (GError **error)
{
  KcpSocketDirectory *self;

  G_LOCK (current);
  /* A process that was forked off the host must not take the host's. */
  if (current && current->pid != getpid ())
    current = NULL;
  if (current)
    current->ref_count++;
  else
    current = make (error);
  self = current;
  G_UNLOCK (current);

  return self;
}

void
kcp_socket_directory_unref (KcpSocketDirectory *self)
{
  G_LOCK (current);
  if (--self->ref_count > 0)
    {
      G_UNLOCK (current);
      return;
    }
  if (current == self)
    current = NULL;
  G_UNLOCK (current);

  if (self->pid == getpid ())
    {
      g_autofree char *lock = g_build_filename (self->path, LOCK, NULL);

      unlink (lock);
      rmdir (self->path);
    }
  close (self->lock_fd);
  g_free (self->path);
  g_free (self);
}

char *
kcp_socket_directory_new_path (KcpSocketDirectory *self,
                               const char         *suffix)
{
  guint number;

  G_LOCK (current);
  number = self->next++;
  G_UNLOCK (current);

  return g_strdup_printf ("%s/%u%s", self->path, number, suffix);
}
