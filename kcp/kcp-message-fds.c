/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-message-state-private.h"

#include "kcp-error.h"
#include "kcp-frame-private.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gunixfdlist.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* What of a message is in descriptors: those that its user gives along, and a body too large to be
 * copied through a socket, which is a memory file that nobody can change any more. */

/* Without these the other side could change what was checked, or cut it off under a reader. */
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

/* ---- descriptors ---- */

/**
 * kcp_message_get_fd_list:
 * @self: a message
 *
 * Returns: (transfer none) (nullable): the descriptors it carries; %NULL for none. They belong to
 *   the message and are closed with it, see kcp_message_get_fd() and kcp_message_steal_fds()
 */
GUnixFDList *
kcp_message_get_fd_list (KcpMessage *self)
{
  g_return_val_if_fail (self != NULL, NULL);

  return self->fds;
}

/**
 * kcp_message_set_fd_list:
 * @self: a message that was not sent yet
 * @fd_list: (nullable) (transfer none): the descriptors to carry; %NULL for none
 *
 * Gives descriptors along, at most 16: a call or an answer with more fails with
 * %KCP_ERROR_TOO_LARGE. The other side gets duplicates of its own. The list must not be changed
 * any more: a message that waits to be sent reads it then. Where the other side is of another make
 * and takes no descriptors, the call fails with %G_IO_ERROR_NOT_SUPPORTED.
 */
void
kcp_message_set_fd_list (KcpMessage  *self,
                         GUnixFDList *fd_list)
{
  g_return_if_fail (self != NULL);
  g_return_if_fail (fd_list == NULL || G_IS_UNIX_FD_LIST (fd_list));

  g_set_object (&self->fds, fd_list);
}

/**
 * kcp_message_append_fd:
 * @self: a message that was not sent yet
 * @fd: a descriptor, of which a duplicate is kept: close yours when you like
 * @error: return location for an error
 *
 * Gives one more descriptor along; see kcp_message_set_fd_list().
 *
 * Returns: its index, by which the other side finds it; -1 with an error of GIO if this process
 *   can have no more
 */
int
kcp_message_append_fd (KcpMessage  *self,
                       int          fd,
                       GError     **error)
{
  g_return_val_if_fail (self != NULL, -1);
  g_return_val_if_fail (fd >= 0, -1);

  if (self->fds == NULL)
    self->fds = g_unix_fd_list_new ();

  return g_unix_fd_list_append (self->fds, fd, error);
}

/**
 * kcp_message_get_n_fds:
 * @self: a message
 *
 * Returns: how many descriptors it carries, without that of its body
 */
guint
kcp_message_get_n_fds (KcpMessage *self)
{
  g_return_val_if_fail (self != NULL, 0);

  return self->fds ? (guint) g_unix_fd_list_get_length (self->fds) : 0;
}

/**
 * kcp_message_get_fd:
 * @self: a message
 * @index: which one, from 0
 * @error: return location for an error
 *
 * Takes a duplicate of a descriptor. The index may come from the body, and so from another
 * process: one that is not there is an error.
 *
 * Returns: a descriptor to close(), with close-on-exec set; -1 with %KCP_ERROR_INVALID_MESSAGE if
 *   the message has none at @index, or an error of GIO if this process can have no more
 */
int
kcp_message_get_fd (KcpMessage  *self,
                    guint        index,
                    GError     **error)
{
  guint count = kcp_message_get_n_fds (self);

  if (index < count)
    return g_unix_fd_list_get (self->fds, (int) index, error);

  g_set_error (error, KCP_ERROR, KCP_ERROR_INVALID_MESSAGE,
               "the message has %u descriptors, one with the index %u is not among them", count, index);
  return -1;
}

/**
 * kcp_message_steal_fds:
 * @self: a message that was received
 * @n_fds: (out) (optional): how many there are
 *
 * Takes all descriptors out of a message without duplicating them.
 *
 * Returns: (array length=n_fds) (transfer full): the descriptors, to be closed one by one, and the
 *   array, which ends with -1, to be freed
 */
int *
kcp_message_steal_fds (KcpMessage *self,
                       int        *n_fds)
{
  int *fds;

  g_return_val_if_fail (self != NULL, NULL);

  if (n_fds)
    *n_fds = 0;
  if (self->fds == NULL)
    {
      fds = g_new (int, 1);
      fds[0] = -1;
      return fds;
    }

  fds = g_unix_fd_list_steal_fds (self->fds, n_fds);
  g_clear_object (&self->fds);
  return fds;
}

/* ---- a body in a descriptor ---- */

/* As much as one seal needs: a memory file that can be sealed, and is. */
static gboolean
seal (int      fd,
      GError **error)
{
  int seals = fcntl (fd, F_GET_SEALS);

  if (seals >= 0 && (seals & SEALS) != SEALS && fcntl (fd, F_ADD_SEALS, SEALS) == 0)
    seals |= SEALS;
  if (seals >= 0 && (seals & SEALS) == SEALS)
    return TRUE;

  g_set_error (error, KCP_ERROR, KCP_ERROR_INVALID_ARGUMENT,
               "the body's descriptor %s: %s",
               seals < 0 ? "is no memory file, see memfd_create()" : "cannot be sealed",
               errno == EBUSY ? "it is mapped for writing" : g_strerror (errno));
  return FALSE;
}

/**
 * kcp_message_set_body_fd:
 * @self: a message that was not sent yet
 * @fd: a descriptor of a memory file, as memfd_create() with MFD_ALLOW_SEALING makes it; a
 *   duplicate is kept: close yours when you like
 * @content_type: (nullable): the media type of what is in it; %NULL for JSON text
 * @error: return location for an error
 *
 * Makes the whole content of a memory file the body. It reaches the other side without being
 * copied, of any size: the limit of a message does not count. The other side must be sure that
 * nobody changes it, so it is sealed (fcntl(2), F_ADD_SEALS) against writing, growing and
 * shrinking, if it is not yet; there must be no writable mapping of it left. It takes the place of
 * one of the 16 descriptors that a message can carry.
 *
 * For less than some 100 KiB kcp_message_new_bytes() is faster.
 *
 * Returns: %FALSE with %KCP_ERROR_INVALID_ARGUMENT if the file cannot be sealed, or an error of GIO
 */
gboolean
kcp_message_set_body_fd (KcpMessage  *self,
                         int          fd,
                         const char  *content_type,
                         GError     **error)
{
  g_autoptr (GUnixFDList) list = g_unix_fd_list_new ();
  struct stat info;

  g_return_val_if_fail (self != NULL, FALSE);
  g_return_val_if_fail (fd >= 0, FALSE);

  if (!seal (fd, error) || g_unix_fd_list_append (list, fd, error) < 0)
    return FALSE;
  if (fstat (fd, &info) < 0)
    {
      int saved = errno;

      g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved), "the body's descriptor: %s",
                   g_strerror (saved));
      return FALSE;
    }

  g_clear_pointer (&self->bytes, g_bytes_unref);
  g_clear_pointer (&self->node, json_node_unref);
  g_set_object (&self->body_fd, list);
  self->body_fd_size = (guint64) info.st_size;
  g_free (self->content_type);
  self->content_type = g_strdup (content_type);
  return TRUE;
}

/**
 * kcp_message_new_body_fd:
 * @path: (nullable): what serves it; %NULL in a reply or an item
 * @fd: a descriptor of a memory file
 * @content_type: (nullable): the media type of what is in it; %NULL for JSON text
 * @error: return location for an error
 *
 * Makes a message whose body is a memory file; see kcp_message_set_body_fd().
 *
 * Returns: (transfer full): a new message, or %NULL with an error
 */
KcpMessage *
kcp_message_new_body_fd (const char  *path,
                         int          fd,
                         const char  *content_type,
                         GError     **error)
{
  KcpMessage *self = kcp_message_alloc (path);

  if (kcp_message_set_body_fd (self, fd, content_type, error))
    return self;

  kcp_message_unref (self);
  return NULL;
}

/* Everything that could go wrong when it is read is judged here, once: what is sealed stays so. */
static gboolean
check_body (int       fd,
            guint64   size,
            GError  **error)
{
  int seals = fcntl (fd, F_GET_SEALS);
  struct stat info;

  if (seals < 0 || (seals & SEALS) != SEALS)
    g_set_error_literal (error, KCP_ERROR, KCP_ERROR_INVALID_MESSAGE,
                         "the body's descriptor is not a memory file sealed against writing, growing and shrinking");
  else if (fstat (fd, &info) < 0 || (guint64) info.st_size != size)
    g_set_error (error, KCP_ERROR, KCP_ERROR_INVALID_MESSAGE,
                 "the body's descriptor does not hold the %" G_GUINT64_FORMAT " bytes it was said to", size);
  else if (size > G_MAXSSIZE)
    g_set_error (error, KCP_ERROR, KCP_ERROR_INVALID_MESSAGE,
                 "the body has %" G_GUINT64_FORMAT " bytes, which this process cannot map", size);
  else
    return TRUE;

  return FALSE;
}

typedef struct
{
  gpointer address;
  gsize size;
} Mapping;

static void
unmap (gpointer data)
{
  Mapping *mapping = data;

  munmap (mapping->address, mapping->size);
  g_free (mapping);
}

/* Private, because older kernels take any shared mapping of a file sealed against writing for a
 * writable one. Nothing is copied, since nobody writes. */
static GBytes *
map_body (int       fd,
          gsize     size,
          GError  **error)
{
  gpointer address;
  Mapping *mapping;

  if (size == 0)
    return g_bytes_new (NULL, 0);

  address = mmap (NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (address == MAP_FAILED)
    {
      g_set_error (error, KCP_ERROR, KCP_ERROR_INVALID_MESSAGE, "the body of %" G_GSIZE_FORMAT
                   " bytes cannot be mapped: %s", size, g_strerror (errno));
      return NULL;
    }

  mapping = g_new (Mapping, 1);
  *mapping = (Mapping) { address, size };
  return g_bytes_new_with_free_func (address, size, unmap, mapping);
}

gboolean
kcp_message_read_body_fd (KcpMessage  *self,
                          gboolean     parse,
                          GError     **error)
{
  const int *fds;
  int length;

  /* A document takes many times the memory of its text, and the text costs a sender nothing: a
   * file may be as large as it likes and hold pages that were never written. */
  if (parse && self->body_fd_size > KCP_FRAME_DEFAULT_LIMIT)
    {
      g_set_error (error, KCP_ERROR, KCP_ERROR_INVALID_MESSAGE, "the body has %" G_GUINT64_FORMAT
                   " bytes, JSON is read up to %u", self->body_fd_size, KCP_FRAME_DEFAULT_LIMIT);
      return FALSE;
    }

  if (self->bytes == NULL)
    {
      fds = g_unix_fd_list_peek_fds (self->body_fd, &length);
      if (check_body (fds[0], self->body_fd_size, error))
        self->bytes = map_body (fds[0], (gsize) self->body_fd_size, error);
    }

  return self->bytes != NULL;
}

/* ---- for codec and channel ---- */

GBytes *
kcp_message_get_frame_body (KcpMessage  *self,
                            GError     **error)
{
  static GBytes *none;

  if (self->body_fd == NULL)
    return kcp_message_get_body_bytes (self, error);

  if (g_once_init_enter (&none))
    g_once_init_leave (&none, g_bytes_new (NULL, 0));
  return none;
}

gboolean
kcp_message_has_body_fd (KcpMessage *self,
                         guint64    *size)
{
  *size = self->body_fd_size;
  return self->body_fd != NULL;
}

guint
kcp_message_count_fds (KcpMessage *self)
{
  return kcp_message_get_n_fds (self) + (self->body_fd ? 1 : 0);
}

/* Where there are both kinds, a list of all has duplicates: the two stay as they are, since the
 * message may be sent again. */
gboolean
kcp_message_collect_fds (KcpMessage   *self,
                         GUnixFDList **fds,
                         GError      **error)
{
  guint count = kcp_message_get_n_fds (self);
  g_autoptr (GUnixFDList) all = NULL;
  const int *each;

  *fds = NULL;
  if (count == 0 || self->body_fd == NULL)
    {
      if (count > 0 || self->body_fd)
        *fds = g_object_ref (count > 0 ? self->fds : self->body_fd);
      return TRUE;
    }

  all = g_unix_fd_list_new ();
  each = g_unix_fd_list_peek_fds (self->fds, NULL);
  for (guint i = 0; i < count; i++)
    if (g_unix_fd_list_append (all, each[i], error) < 0)
      return FALSE;
  if (g_unix_fd_list_append (all, g_unix_fd_list_peek_fds (self->body_fd, NULL)[0], error) < 0)
    return FALSE;

  *fds = g_steal_pointer (&all);
  return TRUE;
}

void
kcp_message_take_received_fds (KcpMessage  *self,
                               GUnixFDList *fds,
                               gboolean     has_body,
                               guint64      body_size)
{
  int count;
  g_autofree int *each = NULL;

  if (!has_body)
    {
      self->fds = g_object_ref (fds);
      return;
    }

  each = g_unix_fd_list_steal_fds (fds, &count);
  self->body_fd = g_unix_fd_list_new_from_array (each + count - 1, 1);
  self->body_fd_size = body_size;
  if (count > 1)
    self->fds = g_unix_fd_list_new_from_array (each, count - 1);
}
