/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-types.h"

G_BEGIN_DECLS

/* What other threads hand to the thread that owns a link: functions to call there, in the order
 * in which they were posted. Reference-counted apart from its link, so that whoever posts late
 * finds a closed inbox and not freed memory. All functions but take() and close() may be called
 * from any thread.
 *
 * It also knows where home is: the thread that runs the link's context right now. A link is touched
 * at home and nowhere else; there is no lock around it. A context that nobody runs can be taken for
 * a moment, as a visit.
 *
 * Also what wakes a thread that blocks, and gives it something to do: then it has no context. */
typedef struct _KcpInbox KcpInbox;

typedef void (*KcpInboxFunc) (gpointer data);

KcpInbox *kcp_inbox_new    (void);
KcpInbox *kcp_inbox_ref    (KcpInbox       *self);
void      kcp_inbox_unref  (KcpInbox       *self);

/* Readable while something waits. */
int       kcp_inbox_get_fd (KcpInbox       *self);

/* @func runs in the owner's thread and @destroy after it; where the inbox is closed, @destroy
 * alone runs, at once. */
void      kcp_inbox_post   (KcpInbox       *self,
                            KcpInboxFunc    func,
                            gpointer        data,
                            GDestroyNotify  destroy);

/* The same where @func takes @data over; @destroy is for a closed inbox alone. */
void      kcp_inbox_post_take (KcpInbox       *self,
                               KcpInboxFunc    func,
                               gpointer        data,
                               GDestroyNotify  destroy);

void      kcp_inbox_take   (KcpInbox       *self);
void      kcp_inbox_close  (KcpInbox       *self);
/* Whether a letter waits. Whoever is at home and goes ahead of letters changes their order. */
gboolean  kcp_inbox_is_empty (KcpInbox     *self);

/* ---- home ---- */

typedef struct
{
  gboolean acquired;        /* nobody ran the context: it was taken for the visit */
} KcpVisit;

/* Until a context is set, whoever made the inbox is at home. Once, by him. */
void      kcp_inbox_set_context (KcpInbox     *self,
                                 GMainContext *context);
/* Costs no lock. */
gboolean  kcp_inbox_at_home     (KcpInbox     *self);
/* TRUE: this thread is at home until it leaves. FALSE: somebody else is. */
gboolean  kcp_inbox_enter       (KcpInbox     *self,
                                 KcpVisit     *visit);
void      kcp_inbox_leave       (KcpInbox     *self,
                                 KcpVisit     *visit);
/* For the sources of the context: whatever runs further down is at home as well, in whichever
 * loop. */
void      kcp_inbox_occupy      (KcpInbox     *self);
void      kcp_inbox_vacate      (KcpInbox     *self);
/* Runs @func at home: now, where this thread can be there and no letter waits, else as a letter. */
void      kcp_inbox_run         (KcpInbox       *self,
                                 KcpInboxFunc    func,
                                 gpointer        data,
                                 GDestroyNotify  destroy);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (KcpInbox, kcp_inbox_unref)

G_END_DECLS
