//! Memory between pages that cannot be accessed, so that an access outside ends the test.

/// Memory of exact length between two pages that cannot be accessed.
pub struct Guarded {
    pages: *mut u8,
    mapped: usize,
    pub start: *mut u8,
}

const PAGE: usize = 4096;

impl Guarded {
    /// `bytes` of memory that end (or, if `front`, begin) where an inaccessible page begins (ends).
    pub fn new(bytes: usize, front: bool) -> Guarded {
        let inner = bytes.div_ceil(PAGE) * PAGE;
        let mapped = inner + 2 * PAGE;
        // SAFETY: a fresh anonymous mapping; its first and last page are then made inaccessible.
        let pages = unsafe {
            let pages = libc::mmap(
                std::ptr::null_mut(),
                mapped,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            );
            assert_ne!(pages, libc::MAP_FAILED);
            let pages = pages.cast::<u8>();
            assert_eq!(libc::mprotect(pages.cast(), PAGE, libc::PROT_NONE), 0);
            assert_eq!(libc::mprotect(pages.add(PAGE + inner).cast(), PAGE, libc::PROT_NONE), 0);
            pages
        };
        let offset = PAGE + if front { 0 } else { inner - bytes };
        // SAFETY: the offset is within the mapping.
        Guarded { pages, mapped, start: unsafe { pages.add(offset) } }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`.
        unsafe { libc::munmap(self.pages.cast(), self.mapped) };
    }
}
