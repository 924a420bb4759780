//! A name server that has the same answer for everybody.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

/// What all names stand for.
pub(super) const ANSWER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

const HEADER: usize = 12;
const PATIENCE: Duration = Duration::from_secs(5);

/// To a datagram; nothing if it is no question.
pub(super) fn reply(question: &[u8], _: SocketAddr, _: SocketAddr) -> Vec<u8> {
    answer(question).unwrap_or_default()
}

/// To one question on a connection, which has its length before it (RFC 1035, 4.2.2).
pub(super) fn serve(mut connection: TcpStream) {
    let mut talk = || {
        connection.set_nonblocking(false)?;
        connection.set_read_timeout(Some(PATIENCE))?;
        let mut length = [0; 2];
        connection.read_exact(&mut length)?;
        let mut question = vec![0; u16::from_be_bytes(length).into()];
        connection.read_exact(&mut question)?;
        let answer = answer(&question).unwrap_or_default();
        let length = u16::try_from(answer.len()).unwrap_or_default();
        connection.write_all(&[&length.to_be_bytes()[..], &answer].concat())
    };
    // A broken connection is the asker's to report.
    let _: std::io::Result<()> = talk();
}

fn answer(question: &[u8]) -> Option<Vec<u8>> {
    let labels = question.get(HEADER..)?;
    // A name ends with an empty label; type and class come after it.
    let end = HEADER + labels.iter().position(|byte| *byte == 0)? + 5;
    // Its number; an answer with authority; one question, one answer, nothing more.
    let mut answer = question[..2].to_vec();
    answer.extend([0x84, 0, 0, 1, 0, 1, 0, 0, 0, 0]);
    answer.extend(question.get(HEADER..end)?);
    // The name of the question, an address (A) of the internet, for no time, of four bytes.
    answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
    answer.extend(ANSWER.octets());
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_repeats_the_question() {
        let mut question = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        question.extend(b"\x03web\x04test\x00\x00\x01\x00\x01");
        let answer = answer(&question).unwrap();
        assert_eq!(answer[..2], question[..2]);
        assert_eq!(answer[HEADER..question.len()], question[HEADER..]);
        assert_eq!(answer[answer.len() - 4..], ANSWER.octets());
        assert_eq!(super::answer(&question[..15]), None);
    }
}
