/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-channel-state-private.h"

#include "kcp-error.h"
#include "kcp-message-private.h"

/* The calls of the other end, and what is sent in answer to them. */

void
kcp_channel_add_invocation (KcpChannel    *self,
                            KcpInvocation *invocation)
{
  kcp_invocation_keep (invocation);
  g_hash_table_insert (self->invocations, (gpointer) kcp_invocation_peek_id (invocation), invocation);
}

KcpInvocation *
kcp_channel_lookup_invocation (KcpChannel *self,
                               guint64     id)
{
  return g_hash_table_lookup (self->invocations, &id);
}

guint
kcp_channel_count_invocations (KcpChannel *self)
{
  return g_hash_table_size (self->invocations);
}

/* @callbacks_sent < 0: not told. An answer that does not fit becomes an error that does. */
void
kcp_channel_send_answer (KcpChannel    *self,
                         KcpInvocation *invocation,
                         KcpAnswer      kind,
                         KcpMessage    *message,
                         const GError  *error,
                         gint64         callbacks_sent)
{
  static const KcpFrameKind frame_kinds[] = {
    [KCP_ANSWER_ITEM] = KCP_FRAME_ITEM,
    [KCP_ANSWER_END] = KCP_FRAME_END,
    [KCP_ANSWER_ERROR] = KCP_FRAME_ERROR,
  };
  guint64 id = kcp_invocation_get_id (invocation);
  g_autoptr (GError) refused = NULL;
  g_autoptr (GBytes) body = NULL;
  g_autoptr (GUnixFDList) fds = NULL;
  KcpFields fields = { 0 };

  if (self->ended || !g_hash_table_contains (self->invocations, &id))
    return;

  if (error == NULL)
    {
      body = kcp_message_get_frame_body (message, &refused);
      if (body)
        g_bytes_ref (body);
      if (body && kcp_codec_fill_fields (message, frame_kinds[kind], &fields, &refused) &&
          kcp_channel_fits (self, &fields, body, &refused))
        kcp_message_collect_fds (message, &fds, &refused);
      if (refused)
        {
          g_prefix_error (&refused, "the answer to “%s” cannot be sent: ",
                          kcp_invocation_get_path (invocation));
          g_clear_pointer (&body, g_bytes_unref);
          memset (&fields, 0, sizeof fields);
          error = refused;
          kind = KCP_ANSWER_ERROR;
        }
    }
  if (error)
    body = kcp_codec_encode_error (error);

  if (kind != KCP_ANSWER_ITEM)
    {
      if (callbacks_sent >= 0)
        {
          fields.callbacks_sent = (guint64) callbacks_sent;
          fields.present |= KCP_FIELD_BIT (KCP_FIELD_CALLBACKS_SENT);
        }
    }
  kcp_channel_push (self, frame_kinds[kind], 0, id, fields.present ? &fields : NULL, 0, body, fds);
  if (kind != KCP_ANSWER_ITEM)
    kcp_channel_drop_invocation (self, invocation);
}

/* An invocation that nobody waits for any more, with what @drop has to undo. */
void
kcp_channel_drop_invocation (KcpChannel    *self,
                             KcpInvocation *invocation)
{
  guint64 id = kcp_invocation_get_id (invocation);

  kcp_invocation_keep (invocation);
  if (g_hash_table_remove (self->invocations, &id))
    {
      if (self->owner)
        self->ops->dropped (self->owner, self, invocation);
      kcp_invocation_close (invocation);
    }
  kcp_invocation_release (invocation);
}

void
kcp_channel_drop_invocations (KcpChannel *self)
{
  g_autoptr (GList) open = g_hash_table_get_values (self->invocations);

  for (GList *l = open; l; l = l->next)
    kcp_invocation_keep (l->data);
  for (GList *l = open; l; l = l->next)
    {
      kcp_channel_drop_invocation (self, l->data);
      kcp_invocation_release (l->data);
    }
}
