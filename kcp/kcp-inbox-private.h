/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-types.h"

G_BEGIN_DECLS

/* What other threads hand to the thread that owns a link: functions to call there, in the order
 * in which they were posted. Reference-counted apart from its link, so that whoever posts late
 * finds a closed inbox and not freed memory. All functions but take() and close() may be called
 * from any thread. */
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

G_DEFINE_AUTOPTR_CLEANUP_FUNC (KcpInbox, kcp_inbox_unref)

G_END_DECLS
