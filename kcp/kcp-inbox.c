/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-inbox-private.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

typedef struct
{
  KcpInboxFunc func;
  gpointer data;
  GDestroyNotify destroy;
  gboolean taken;           /* func takes data over */
} Letter;

struct _KcpInbox
{
  gatomicrefcount ref_count;
  GMutex lock;
  GArray *letters;   /* of Letter */
  guint first;       /* before it: taken out */
  int waiting;       /* atomic: how many that are */
  gboolean closed;
  int fd;

  GMainContext *context;
  GThread *driver;   /* atomic: who is at home and has said so; NULL: nobody */
  guint depth;       /* of that; only for the driver */
};

KcpInbox *
kcp_inbox_new (void)
{
  KcpInbox *self = g_new0 (KcpInbox, 1);

  g_atomic_ref_count_init (&self->ref_count);
  g_mutex_init (&self->lock);
  self->letters = g_array_new (FALSE, FALSE, sizeof (Letter));
  self->driver = g_thread_self ();
  self->depth = 1;
  self->fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (self->fd < 0)
    g_warning ("kcp: no eventfd (%s): answers from other threads wait for the next message",
               g_strerror (errno));
  return self;
}

KcpInbox *
kcp_inbox_ref (KcpInbox *self)
{
  g_atomic_ref_count_inc (&self->ref_count);
  return self;
}

void
kcp_inbox_unref (KcpInbox *self)
{
  if (!g_atomic_ref_count_dec (&self->ref_count))
    return;

  kcp_inbox_close (self);
  g_array_unref (self->letters);
  g_clear_pointer (&self->context, g_main_context_unref);
  g_mutex_clear (&self->lock);
  g_free (self);
}

int
kcp_inbox_get_fd (KcpInbox *self)
{
  return self->fd;
}

static void
post (KcpInbox *self,
      Letter    letter)
{
  gboolean closed;

  g_mutex_lock (&self->lock);
  closed = self->closed;
  if (!closed)
    {
      g_array_append_val (self->letters, letter);
      g_atomic_int_inc (&self->waiting);
      if (self->letters->len - self->first == 1 && self->fd >= 0)
        {
          guint64 one = 1;
          gssize ignored G_GNUC_UNUSED = write (self->fd, &one, sizeof one);
        }
    }
  g_mutex_unlock (&self->lock);

  if (closed && letter.destroy)
    letter.destroy (letter.data);
}

void
kcp_inbox_post (KcpInbox       *self,
                KcpInboxFunc    func,
                gpointer        data,
                GDestroyNotify  destroy)
{
  post (self, (Letter) { func, data, destroy, FALSE });
}

void
kcp_inbox_post_take (KcpInbox       *self,
                     KcpInboxFunc    func,
                     gpointer        data,
                     GDestroyNotify  destroy)
{
  post (self, (Letter) { func, data, destroy, TRUE });
}

/* Takes out the first letter. One at a time: a letter may run user code, and that a main loop,
 * which has to find the letters behind it still here, in their order. */
static gboolean
pop (KcpInbox *self,
     Letter   *letter)
{
  gboolean found;

  g_mutex_lock (&self->lock);
  found = self->first < self->letters->len;
  if (found)
    {
      *letter = g_array_index (self->letters, Letter, self->first++);
      g_atomic_int_add (&self->waiting, -1);
    }

  if (found && self->first == self->letters->len)
    {
      guint64 count;

      g_array_set_size (self->letters, 0);
      self->first = 0;
      if (self->fd >= 0)
        {
          gssize ignored G_GNUC_UNUSED = read (self->fd, &count, sizeof count);
        }
    }
  else if (self->first > 1024 && self->first > self->letters->len / 2)
    {
      g_array_remove_range (self->letters, 0, self->first);
      self->first = 0;
    }
  g_mutex_unlock (&self->lock);

  return found;
}

static guint
count_letters (KcpInbox *self)
{
  guint count;

  g_mutex_lock (&self->lock);
  count = self->letters->len - self->first;
  g_mutex_unlock (&self->lock);
  return count;
}

/* No more than are there now: what letters post in turn waits for the next time. */
void
kcp_inbox_take (KcpInbox *self)
{
  g_autoptr (KcpInbox) keep = kcp_inbox_ref (self);
  guint budget = count_letters (self);
  Letter letter;

  while (budget-- > 0 && pop (self, &letter))
    {
      letter.func (letter.data);
      if (letter.destroy && !letter.taken)
        letter.destroy (letter.data);
    }
}

void
kcp_inbox_close (KcpInbox *self)
{
  Letter letter;

  g_mutex_lock (&self->lock);
  self->closed = TRUE;
  if (self->fd >= 0)
    close (self->fd);
  self->fd = -1;
  g_mutex_unlock (&self->lock);

  while (pop (self, &letter))
    if (letter.destroy)
      letter.destroy (letter.data);
}

gboolean
kcp_inbox_is_empty (KcpInbox *self)
{
  return g_atomic_int_get (&self->waiting) == 0;
}

/* ---- home ---- */

void
kcp_inbox_set_context (KcpInbox     *self,
                       GMainContext *context)
{
  self->context = g_main_context_ref (context);
  kcp_inbox_vacate (self);
}

/* Only this thread can have made itself the driver; and a source of the context that is being
 * dispatched in this thread means that it is this thread which runs it. */
gboolean
kcp_inbox_at_home (KcpInbox *self)
{
  GSource *current;

  if (g_atomic_pointer_get (&self->driver) == g_thread_self ())
    return TRUE;

  current = self->context ? g_main_current_source () : NULL;
  return current && !g_source_is_destroyed (current) && g_source_get_context (current) == self->context;
}

void
kcp_inbox_occupy (KcpInbox *self)
{
  if (self->depth++ == 0)
    g_atomic_pointer_set (&self->driver, g_thread_self ());
}

void
kcp_inbox_vacate (KcpInbox *self)
{
  if (--self->depth == 0)
    g_atomic_pointer_set (&self->driver, NULL);
}

gboolean
kcp_inbox_enter (KcpInbox *self,
                 KcpVisit *visit)
{
  visit->acquired = FALSE;
  if (!kcp_inbox_at_home (self))
    {
      if (self->context == NULL || !g_main_context_acquire (self->context))
        return FALSE;
      visit->acquired = TRUE;
    }

  kcp_inbox_occupy (self);
  return TRUE;
}

void
kcp_inbox_leave (KcpInbox *self,
                 KcpVisit *visit)
{
  kcp_inbox_vacate (self);
  if (visit->acquired)
    g_main_context_release (self->context);
}

void
kcp_inbox_run (KcpInbox       *self,
               KcpInboxFunc    func,
               gpointer        data,
               GDestroyNotify  destroy)
{
  g_autoptr (KcpInbox) keep = kcp_inbox_ref (self);
  KcpVisit visit;

  if (!kcp_inbox_is_empty (self) || !kcp_inbox_enter (self, &visit))
    {
      kcp_inbox_post (self, func, data, destroy);
      return;
    }

  func (data);
  if (destroy)
    destroy (data);
  kcp_inbox_leave (self, &visit);
}
