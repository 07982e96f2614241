/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-deadlines-private.h"

void
kcp_deadlines_init (KcpDeadlines *self)
{
  self->heap = g_ptr_array_new ();
}

void
kcp_deadlines_clear (KcpDeadlines *self)
{
  for (guint i = 0; i < self->heap->len; i++)
    ((KcpDeadline *) self->heap->pdata[i])->place = 0;

  g_clear_pointer (&self->heap, g_ptr_array_unref);
}

static inline KcpDeadline *
at_place (KcpDeadlines *self,
          guint         place)
{
  return self->heap->pdata[place - 1];
}

static void
put (KcpDeadlines *self,
     guint         place,
     KcpDeadline  *deadline)
{
  self->heap->pdata[place - 1] = deadline;
  deadline->place = place;
}

static void
move_up (KcpDeadlines *self,
         guint         place,
         KcpDeadline  *deadline)
{
  while (place > 1 && at_place (self, place / 2)->at > deadline->at)
    {
      put (self, place, at_place (self, place / 2));
      place /= 2;
    }

  put (self, place, deadline);
}

static void
move_down (KcpDeadlines *self,
           guint         place,
           KcpDeadline  *deadline)
{
  guint count = self->heap->len;

  while (place * 2 <= count)
    {
      guint next = place * 2;

      if (next < count && at_place (self, next + 1)->at < at_place (self, next)->at)
        next++;
      if (at_place (self, next)->at >= deadline->at)
        break;
      put (self, place, at_place (self, next));
      place = next;
    }

  put (self, place, deadline);
}

void
kcp_deadlines_add (KcpDeadlines *self,
                   KcpDeadline  *deadline)
{
  g_return_if_fail (deadline->place == 0);

  g_ptr_array_add (self->heap, deadline);
  move_up (self, self->heap->len, deadline);
}

void
kcp_deadlines_remove (KcpDeadlines *self,
                      KcpDeadline  *deadline)
{
  guint place = deadline->place;
  KcpDeadline *last;

  if (place == 0)
    return;

  last = at_place (self, self->heap->len);
  g_ptr_array_set_size (self->heap, (int) self->heap->len - 1);
  deadline->place = 0;
  if (last == deadline)
    return;

  /* The last one fills the gap; it may belong above or below it. */
  if (place > 1 && at_place (self, place / 2)->at > last->at)
    move_up (self, place, last);
  else
    move_down (self, place, last);
}

gint64
kcp_deadlines_next (KcpDeadlines *self)
{
  return self->heap->len > 0 ? at_place (self, 1)->at : 0;
}

/* Each is taken out before it is told, so that it may set itself again. */
void
kcp_deadlines_run (KcpDeadlines *self,
                   gint64        now)
{
  while (self->heap && self->heap->len > 0 && at_place (self, 1)->at <= now)
    {
      KcpDeadline *first = at_place (self, 1);

      kcp_deadlines_remove (self, first);
      first->passed (first);
    }
}
