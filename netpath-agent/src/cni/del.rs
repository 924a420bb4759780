//! DEL: detach a container. It succeeds however often it is asked, whatever is missing.

use super::{
    Call, Error, Verb,
    environment::Attachment,
    netns::{Found, has_interface, look},
};

impl Call {
    pub(super) async fn del(&self, attachment: &Attachment) -> Result<(), Error> {
        match self.agent.remove(&attachment.id(&self.network.name)).await {
            Ok(_) => {}
            Err(error) if error.is_unknown() => {}
            // The agent will find on its start that the interface is gone, and release what
            // belonged to it.
            Err(error) if error.is_absence() && nothing_left(attachment)? => {}
            Err(error) => return Err(error),
        }
        // Only now: nobody has the addresses any more.
        if let Some(ipam) = &self.ipam {
            ipam.run(Verb::Del, &self.input)?;
        }
        Ok(())
    }
}

/// Whether the container has no interface that could be ours. Its addresses can not be in use then.
fn nothing_left(attachment: &Attachment) -> Result<bool, Error> {
    let Some(path) = &attachment.netns else { return Ok(true) };
    match look(path)? {
        // Gone: the file that a namespace was mounted over may outlive it. Or the node's own, where
        // no container ever was.
        Found::Nothing | Found::Other | Found::Own => Ok(true),
        Found::Namespace => Ok(!has_interface(path, attachment.interface.as_str())?),
    }
}
